"""`with_fhir`: a mapping and a source in which an export's resources stand like files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from cairn_client.readers.fhir.damaged import damage_in
from cairn_client.readers.fhir.files import ExportFolder
from cairn_client.readers.fhir.gathered import Gathered, gather
from cairn_client.readers.fhir.identity import Identity
from cairn_client.readers.fhir.mapping import Fhir
from cairn_client.readers.fhir.patients import first_days, raw_consent, raw_patients
from cairn_client.readers.fhir.scores import raw_scores, with_forms
from cairn_client.readers.fhir.versions import counting
from cairn_client.readers.fhir.wearables import raw_wearables
from cairn_client.readers.findings import Findings
from cairn_client.readers.mapping import (
    ClinicMapping,
    ConsentTable,
    NumberVariable,
    Patients,
    Scores,
    Wearables,
)
from cairn_client.readers.raw import Damage, RawTable, Sheet, Source

DAY: Final = "%Y-%m-%d"
_LABELS: Final = "meta.security"
_COLUMNS: Final = {
    "arm": "CarePlan",
    "consent": "Consent",
    "patient": "subject",
    "value": "value[x]",
}
Table = Scores | Patients | ConsentTable | Wearables


def with_fhir(
    folder: Path, mapping: ClinicMapping, files: Source, known: Collection[str]
) -> tuple[ClinicMapping, Source]:
    """The mapping with `scores`, `patients`, `consent` and `wearables` from `[fhir]`.

    Engagement, and wearables where the mapping has a table of them, stay with `files`.
    """
    fhir = mapping.fhir
    assert fhir is not None, "only a mapping with [fhir] comes here"  # noqa: S101
    filled: dict[str, Table] = {"scores": _scores(fhir), "patients": _patients(fhir)}
    if fhir.consent != "elsewhere":
        filled["consent"] = ConsentTable(
            file=fhir.folder,
            patient="subject",
            begins="dateTime",
            ends="provision.period.end",
            date_format=DAY,
        )
    if fhir.wearables and mapping.wearables is None:
        filled["wearables"] = _wearables(fhir)
    mapping = mapping.model_copy(update=filled)
    return mapping, _FhirBesideFiles(folder, mapping, filled, files, known)


def _scores(fhir: Fhir) -> Scores:
    return Scores(
        file=fhir.folder,
        patient="subject",
        sensitive=_LABELS,
        date="effective[x] or authored",
        date_format=DAY,
        instrument="code",
        value="value[x]",
        item="code or linkId",
        prorate=fhir.prorate,
    )


def _patients(fhir: Fhir) -> Patients:
    named = {
        name: NumberVariable(column="Patient.birthDate") if fact == "age" else f"Patient: {fact}"
        for name, fact in fhir.variables.items()
    }
    return Patients(
        file=fhir.folder,
        patient="Patient.id" if fhir.identifier_system is None else "Patient.identifier",
        sensitive=_LABELS,
        date_format=DAY,
        arm="CarePlan.category",
        arms=dict(fhir.arms),
        entry=f"{fhir.entry}: its first day",
        variables=named,
    )


def _wearables(fhir: Fhir) -> Wearables:
    return Wearables(
        file=fhir.folder,
        patient="subject",
        sensitive=_LABELS,
        date="effective[x]",
        date_format=DAY,
        measure="code",
        value="value[x]",
        coverage="component: coverage",
    )


@dataclass
class _FhirBesideFiles:
    """The export's tables, read once when the first is asked for, and the files' others."""

    folder: Path
    mapping: ClinicMapping
    filled: dict[str, Table]
    files: Source
    known: Collection[str]
    frames: dict[str, RawTable] | None = None

    def table(self, name: str, findings: Findings) -> RawTable | None:
        """The raw table `name`; the whole export is read at the first call."""
        if name not in self.filled:
            return self.files.table(name, findings)
        if self.frames is None:
            fhir = self.mapping.fhir
            assert fhir is not None, "see with_fhir"  # noqa: S101
            files = ExportFolder(self.folder, fhir.folder).files()
            self.frames = self._tables(gather(files, fhir, self.known), findings)
        return self.frames[name]

    def _tables(self, found: Gathered, findings: Findings) -> dict[str, RawTable]:
        fhir = self.mapping.fhir
        assert fhir is not None, "see with_fhir"  # noqa: S101
        tallies, stretches = findings.tallies, tuple(found.stretches)
        used = counting(found.resources.frame(), found.tallies)
        sheet = Sheet(fhir.folder, _COLUMNS, findings, stretches)
        _note_faults(found.faults.frame(), used, sheet)

        places = used.select("number", "row", "sensitive")

        def placed(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.join(places, on="number", how="inner", maintain_order="left")

        people = placed(found.people.frame())
        who = Identity(
            people,
            placed(found.keys.frame()),
            placed(found.links.frame()),
        )

        def whose(frame: pl.DataFrame) -> pl.DataFrame:
            return who.whose(placed(frame))

        open_ = pl.col("sensitive").is_null()
        entries = whose(found.entries.frame()).filter(open_)
        plans = whose(found.plans.frame()).filter(open_)
        patients = raw_patients(
            people.drop("patient"), who, plans, entries, variables=fhir.variables, sheet=sheet
        )
        panels = placed(found.members.frame())
        inside = used.filter(pl.col("key").is_in(panels["member"].implode()))
        scores = with_forms(
            whose(found.scores.frame()), panels, inside.select("number", member="key")
        )
        frames = {
            "patients": patients,
            "scores": raw_scores(scores, sheet, tallies),
        }
        if "consent" in self.filled:
            frames["consent"] = raw_consent(
                whose(found.consents.frame()),
                patients,
                unless_refused=fhir.consent == "unless-refused",
                sheet=sheet,
            )
            if fhir.consent == "unless-refused":
                tallies["patients taken as willing unless a Consent refuses"] = patients.height
        if "wearables" in self.filled:
            days = whose(found.days.frame())
            frames["wearables"] = raw_wearables(days, first_days(entries), sheet)
        tallies.update(found.tallies)
        damage = {"consent": damage_in(whose(found.damaged.frame()))}
        return {
            name: RawTable(
                fhir.folder,
                self._written(frame),
                self.filled[name].columns(),
                stretches,
                damage.get(name, Damage()),
            )
            for name, frame in frames.items()
        }

    def _written(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Numbers with the decimal mark that the mapping gives the clinic's other files."""
        if self.mapping.decimal == ".":
            return frame
        numbers = [name for name in ("value", "coverage") if name in frame.columns]
        return frame.with_columns(pl.col(numbers).str.replace(".", ",", literal=True))


def _note_faults(faults: pl.DataFrame, used: pl.DataFrame, sheet: Sheet) -> None:
    placed = faults.join(used, on="number", how="inner", maintain_order="left")
    for code in placed["code"].unique(maintain_order=True).to_list():
        sheet.set_aside(placed, pl.col("code") == code, code, "value", encoding="utf-8")
