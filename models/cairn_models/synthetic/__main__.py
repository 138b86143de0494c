"""`python -m cairn_models.synthetic`: write synthetic clinics into a folder, one folder each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cairn_models.synthetic.cohort import clinic_name, generate
from cairn_models.synthetic.csv_files import write_clinic_csv
from cairn_models.synthetic.fhir_files import write_clinic_fhir
from cairn_models.synthetic.sizes import draw_clinic_sizes
from cairn_models.synthetic.world import World
from cairn_protocol.errors import CairnError, InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status, after writing what the arguments ask for."""
    options = _parser().parse_args(arguments)
    try:
        _write(options)
    except CairnError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_status
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cairn_models.synthetic",
        description="Write synthetic clinics: records that look real and describe nobody.",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder; one sub-folder a clinic")
    parser.add_argument("--clinics", type=int, help="how many (default: as many as --sizes)")
    parser.add_argument("--sizes", help="patients a clinic, e.g. 20,60,130 (default: drawn)")
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    parser.add_argument("--weeks", type=int, default=26, help="default 26")
    parser.add_argument("--world", choices=("default", "shifted"), default="default")
    parser.add_argument("--fhir", action="store_true", help="also write a FHIR bulk export")
    return parser


def _sizes(options: argparse.Namespace) -> list[int]:
    if options.sizes is None:
        if options.clinics is None or options.clinics < 1 or options.seed < 0:
            raise InputError(
                "how many clinics is not said",
                code="synthetic-clinics",
                hint="give --clinics 5, or --sizes 20,60,130; seeds are 0 or more",
            )
        return draw_clinic_sizes(options.clinics, seed=options.seed)
    try:
        sizes = [int(part) for part in options.sizes.split(",")]
    except ValueError:
        raise InputError(
            "--sizes is not a list of whole numbers",
            code="synthetic-sizes",
            hint="for example --sizes 20,60,130",
        ) from None
    if options.clinics is not None and options.clinics != len(sizes):
        raise InputError(
            f"--clinics says {options.clinics}, --sizes has {len(sizes)}",
            code="synthetic-sizes",
            hint="leave --clinics out, or make them agree",
        )
    return sizes


def _write(options: argparse.Namespace) -> None:
    world = World.shifted() if options.world == "shifted" else World()
    clinics = generate(world, _sizes(options), seed=options.seed, weeks=options.weeks)
    print(f"Synthetic data (seed {options.seed}): these records describe nobody.")
    for number, records in enumerate(clinics):
        name = clinic_name(number)
        folder = options.out / name
        try:
            write_clinic_csv(records, folder, name=name)
            if options.fhir:
                write_clinic_fhir(records, folder / "fhir")
        except OSError as error:
            raise InputError(
                f"cannot write {folder}",
                code="folder-unwritable",
                why=error.strerror or str(error),
                hint="choose another folder with --out",
            ) from None
        also = ", FHIR in fhir/" if options.fhir else ""
        print(
            f"  {folder}: {len(records)} patients, {records.scores.height} scores, "
            f"{records.wearables.height} wearable weeks{also}"
        )
    print("Next: point a clinic at a folder's mapping.toml.")


if __name__ == "__main__":
    sys.exit(main())
