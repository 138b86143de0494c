"""An import whose files cannot be read: who has withdrawn goes all the same, and it is told why."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.importing import STAYED, import_records
from cairn_client.imports.run import dry_run, run_import
from cairn_client.imports.store import ImportFindings
from cairn_client.record_store import RecordStore
from cairn_protocol.errors import InputError
from fhir_export import MAPPING as FHIR
from fhir_export import observation, patient, plan, write_fhir

TODAY = date(2024, 6, 30)
SCORES = """
cairn = 1
[scores]
file = "scores.csv"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
"""
IN_PATIENTS = """
[patients]
file = "patients.csv"
patient = "patient"
arm = "arm"
entry = "entry"
sensitive = "tag"
consent_ends = "until"
"""
APART = """
[consent]
file = "consent.csv"
patient = "patient"
ends = "until"
"""
HEAD = "patient,arm,entry,tag,until\n"


def clinic_of(folder: Path, mapping: str) -> ClinicFolder:
    folder.mkdir(exist_ok=True)
    (folder / "clinic.toml").write_text('name = "oak"\n')
    (folder / "mapping.toml").write_text(mapping)
    return ClinicFolder.open(folder)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[str], ClinicFolder]:
    """A clinic of four who were imported; then 1 withdrew and 2 was tagged."""

    def make(mapping: str) -> ClinicFolder:
        clinic = clinic_of(tmp_path / "oak", SCORES + mapping)
        rows = [f"S-{i},waiting,2024-01-08,{{}},{{}}\n" for i in range(4)]
        people, consent = clinic.path / "patients.csv", clinic.path / "consent.csv"
        people.write_text(HEAD + "".join(row.format("", "") for row in rows))
        consent.write_text("patient,until\n" + "".join(f"S-{i},\n" for i in range(4)))
        scores = "".join(f"S-{i},{w},PHQ-9,{i + w}\n" for i in range(4) for w in range(2))
        (clinic.path / "scores.csv").write_text("patient,week,instrument,value\n" + scores)
        import_records(clinic, day=TODAY)
        now = [("", ""), ("", "2024-06-01"), ("SUD", ""), ("", "")]
        people.write_text(HEAD + "".join(r.format(*n) for r, n in zip(rows, now, strict=True)))
        consent.write_text("patient,until\nS-0,\nS-1,2024-06-01\nS-2,\nS-3,\n")
        return clinic

    return make


def who(clinic: ClinicFolder) -> set[int]:
    found = RecordStore(clinic.state, clinic.identity()).kept()
    assert found is not None
    assert set(found.records.scores["patient"]) == set(found.records.patients["patient"])
    return {int(p.rsplit("-", 1)[1]) for p in found.records.patients["patient"]}


def refused(clinic: ClinicFolder) -> InputError:
    """The refusal, of an import that people asked for, and its line in the history."""
    with pytest.raises(InputError) as told:
        run_import(clinic, "Ada", lambda: None, day=TODAY)
    line = ImportFindings(clinic.state, clinic.identity()).history()[-1]
    assert (line.outcome, line.code) == ("refused", told.value.code)
    assert "S-" not in f"{told.value} {told.value.hint}"
    return told.value


@pytest.mark.parametrize(
    ("scores", "code"),
    [
        (None, "input.file-missing"),
        ("", "input.file-empty"),
        ("patient,wk,instrument,value\n", "input.column-missing"),
    ],
)
def test_a_table_that_cannot_be_read_keeps_nobody_in(
    scores: str | None, code: str, kept: Callable[[str], ClinicFolder]
) -> None:
    clinic = kept(IN_PATIENTS)
    file = clinic.path / "scores.csv"
    file.unlink() if scores is None else file.write_text(scores)
    with pytest.raises(InputError):
        dry_run(clinic, "Ada", lambda: None, TODAY)
    assert who(clinic) == {0, 1, 2, 3}, "a dry run changes nothing"
    error = refused(clinic)
    assert (error.code, STAYED in error.hint) == (code, False)
    assert who(clinic) == {0, 3}


def test_another_fault_of_the_patients_file_keeps_nobody_in(
    kept: Callable[[str], ClinicFolder],
) -> None:
    clinic = kept(IN_PATIENTS)
    people = clinic.path / "patients.csv"
    people.write_text(people.read_text().replace("entry", "begin"))
    with pytest.raises(InputError, match="column-missing") as told:
        import_records(clinic, day=TODAY)
    assert STAYED not in told.value.hint
    assert who(clinic) == {0, 3}


@pytest.mark.parametrize("people", ["", IN_PATIENTS.replace('consent_ends = "until"\n', "")])
def test_a_table_of_consent_is_read_alone(people: str, kept: Callable[[str], ClinicFolder]) -> None:
    """Also where no file, or one that cannot be read, says who the patients are."""
    clinic = kept(people + APART)
    (clinic.path / "scores.csv").unlink()
    (clinic.path / "patients.csv").unlink()
    error = refused(clinic)
    assert (STAYED in error.hint) is bool(people), "who was tagged is not known"
    assert who(clinic) == {0, 2, 3}


@pytest.mark.parametrize("fault", ["patients", "mapping"])
def test_what_could_not_be_taken_over_is_said(
    fault: str, kept: Callable[[str], ClinicFolder]
) -> None:
    clinic = kept(IN_PATIENTS)
    if fault == "patients":
        (clinic.path / "patients.csv").unlink()
    else:
        (clinic.path / "mapping.toml").write_text("cairn = 1\n[scores\n")
    error = refused(clinic)
    assert STAYED in error.hint
    assert who(clinic) == {0, 1, 2, 3}


def test_before_the_first_import_nobody_could_stay(tmp_path: Path) -> None:
    clinic = clinic_of(tmp_path / "oak", SCORES)
    assert STAYED not in refused(clinic).hint


def test_a_table_beside_an_export_of_fhir_keeps_nobody_in(tmp_path: Path) -> None:
    mapping = FHIR + (
        '[engagement]\nfile = "use.csv"\npatient = "p"\nweek = "w"\nmeasure = "m"\nvalue = "v"\n'
    )
    people = [resource for i in range(3) for resource in (patient(f"S-{i}"), plan(f"S-{i}"))]
    folder = write_fhir(tmp_path / "oak", *people, *(observation(of=f"S-{i}") for i in range(3)))
    clinic = clinic_of(folder, mapping)
    (folder / "use.csv").write_text("p,w,m,v\nS-0,1,logins,2\n")
    import_records(clinic, day=TODAY)
    no = {
        "resourceType": "Consent",
        "id": "c",
        "status": "inactive",
        "patient": {"reference": "Patient/S-1"},
        "dateTime": "2024-06-01",
    }
    write_fhir(folder, *people, no, *(observation(of=f"S-{i}") for i in range(3)), mapping=mapping)
    (folder / "use.csv").unlink()
    assert STAYED not in refused(clinic).hint
    found = RecordStore(clinic.state, clinic.identity()).kept()
    assert found is not None
    assert set(found.records.patients["patient"]) == {"s-0", "s-2"}
    (folder / "fhir" / "more.ndjson.gz").write_bytes(b"broken off")
    assert STAYED in refused(clinic).hint, "the export is read as a whole"


# What the digest of the files meets first


@pytest.mark.parametrize("away", ["/etc/hostname", "../oak2/scores.csv"])
def test_a_file_that_lies_elsewhere_is_refused_as_such(
    away: str, kept: Callable[[str], ClinicFolder]
) -> None:
    clinic = kept(IN_PATIENTS)
    mapping = clinic.path / "mapping.toml"
    mapping.write_text(mapping.read_text().replace('"scores.csv"', f'"{away}"'))
    assert refused(clinic).code == "input.file-outside"
    assert who(clinic) == {0, 3}


def test_a_file_that_may_not_be_read_is_refused_and_in_the_history(
    kept: Callable[[str], ClinicFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic, real = kept(IN_PATIENTS), Path.open

    def opened(self: Path, *args: str, **more: object) -> object:
        if self.name == "scores.csv":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", opened)
    error = refused(clinic)
    assert (error.code, error.why) == ("input.file-unreadable", "Permission denied")


def test_names_that_are_no_text_and_files_that_are_not_read(tmp_path: Path) -> None:
    resources = [patient("S-0"), plan("S-0"), observation(of="S-0")]
    clinic = clinic_of(write_fhir(tmp_path / "oak", *resources), FHIR)
    export = clinic.path / "fhir"
    (file,) = export.iterdir()
    file.rename(os.fsdecode(os.fsencode(export) + b"/M\xfcller.ndjson"))
    first = import_records(clinic, day=TODAY)
    (export / "notes.docx").write_bytes(b"for people")
    (export / "pipe").symlink_to("/dev/zero")
    reading = run_import(clinic, "Ada", lambda: None, day=TODAY)
    assert reading.found.line.source == first.manifest.source.hex()
