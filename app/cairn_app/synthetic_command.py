"""`cairn synthetic`: what made-up clinics' record systems would export, each in its own form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_models.records import Records

MOST_PATIENTS = 2_000_000  # in all
FORMS = {"csv": "CSV files", "fhir": "a FHIR export", "omop": "an OMOP database (SQLite)"}


def synthetic(
    out: Annotated[Path, typer.Argument(help="The folder for them; one sub-folder a clinic.")],
    *,
    sizes: Annotated[
        str, typer.Option(help="Patients a clinic; a number each, in order.")
    ] = "200,200,200",
    forms: Annotated[
        str, typer.Option("--as", help="The form of each clinic's export: csv, fhir or omop.")
    ] = "csv,fhir,omop",
    weeks: Annotated[int, typer.Option(help="Weeks for which patients are followed.")] = 26,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.", min=0)] = 1,
    as_json: AsJson = False,
) -> None:
    """Write synthetic clinics' exports, without a mapping: people who do not exist."""
    from cairn_models.synthetic import World, clinic_name, generate

    counts, kinds = _counts(sizes), _kinds(forms)
    if len(counts) != len(kinds):
        raise InputError(
            f"--sizes names {len(counts)} clinics, --as names {len(kinds)}",
            code="synthetic-sizes",
            hint="for example --sizes 90,60,120 --as csv,fhir,omop",
        )
    names = [clinic_name(number) for number in range(len(counts))]
    taken = [out / name for name in names if (out / name).exists()]
    if taken:
        raise InputError(
            f"{taken[0]} exists and is not overwritten",
            code="folder-taken",
            hint="give another folder, or move that one away",
        )
    made = generate(World(), counts, seed=seed, weeks=weeks)
    for name, kind, records in zip(names, kinds, made, strict=True):
        _write(kind, records, out / name, name)
    if as_json:
        shown = zip(names, kinds, counts, strict=True)
        print(json.dumps({name: {"as": kind, "patients": count} for name, kind, count in shown}))
        return
    print("Synthetic clinics: their patients do not exist.")
    for name, kind, records in zip(names, kinds, made, strict=True):
        scores = f"{records.scores.height:,} scores"
        print(f"  {out / name}  {len(records):,} patients, {scores}, as {FORMS[kind]}")
    print(f"\nNext   make one a clinic   cairn clinic init {out / names[0]} --data synthetic")


def _write(kind: str, records: Records, folder: Path, name: str) -> None:
    from cairn_models.synthetic import write_clinic_csv, write_clinic_fhir, write_clinic_omop

    match kind:
        case "csv":
            write_clinic_csv(records, folder, name=name, mapped=False)
        case "fhir":
            write_clinic_fhir(records, folder / "fhir")
        case _:
            write_clinic_omop(records, folder)


def _counts(sizes: str) -> list[int]:
    parts = sizes.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise InputError(
            "--sizes is not a list of whole numbers",
            code="synthetic-sizes",
            hint="for example --sizes 90,60,120",
        )
    sizes_of = [int(part) for part in parts]
    if sum(sizes_of) > MOST_PATIENTS:
        raise InputError(
            f"--sizes asks for more than {MOST_PATIENTS:,} people",
            code="synthetic-sizes",
            hint="for example --sizes 90,60,120",
        )
    return sizes_of


def _kinds(forms: str) -> list[str]:
    kinds = [part.strip() for part in forms.split(",")]
    unknown = [kind for kind in kinds if kind not in FORMS]
    if unknown:
        raise InputError(
            f"there is no form {unknown[0]!r}",
            code="synthetic-form",
            hint=f"choose from {', '.join(FORMS)}",
        )
    return kinds
