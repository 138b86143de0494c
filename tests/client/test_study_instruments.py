"""Instruments that only a study knows: the mapping may name them, and each study finds its own."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor.finding import Level
from cairn_client.doctor.records import records
from cairn_client.doctor.site import Site
from cairn_client.importing import import_records, own_instruments
from cairn_client.imports.run import dry_run, run_import
from cairn_client.readers import read_clinic
from cairn_client.readers.omop import source as omop
from cairn_client.readers.omop.wire import Reply, Table
from cairn_client.record_store import RecordStore
from cairn_models.measures import Instrument
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.study import Study
from doctor_bench import one
from fhir_export import MAPPING as FHIR
from fhir_export import observation, patient, plan, write_fhir
from keeper_bench import STUDY

TODAY = date(2024, 6, 30)
K10 = Instrument("K10", 10, 50)
TALLY = "scores of instruments that only a study knows"
CODE = "instrument-of-a-study"
LONG = """
cairn = 1
[scores]
file = "scores.csv"
patient = "p"
week = "w"
value = "v"
"""
CODES = LONG + 'instrument = "i"\n[scores.codes]\nKESSLER = "K10"\n'
WIDE = """
cairn = 1
[scores]
file = "scores.csv"
patient = "p"
week = "w"
[scores.wide]
phq = "PHQ-9"
v = "K10"
"""
A_STUDY = STUDY.replace('instrument = "PHQ-9"', 'instrument = "K10"') + (
    '[[instruments]]\nname = "K10"\nlowest = 10\nhighest = 50\n'
)


def write(folder: Path, mapping: str) -> ClinicFolder:
    folder.mkdir(exist_ok=True)
    (folder / "clinic.toml").write_text('name = "oak"\n')
    (folder / "mapping.toml").write_text(mapping)
    (folder / "scores.csv").write_text("p,w,i,v,phq\na,0,KESSLER,31,5\nb,0,KESSLER,29,\n")
    return ClinicFolder.open(folder)


def found(read: object) -> list[tuple[str, str, float]]:
    scores: pl.DataFrame = read.records.scores  # type: ignore[attr-defined]
    return scores.select("patient", "instrument", "value").sort("instrument", "patient").rows()


@pytest.mark.parametrize(
    ("mapping", "others"),
    [(CODES, []), (LONG + 'instrument_is = "K10"\n', []), (WIDE, [("a", "PHQ-9", 5.0)])],
)
def test_a_mapping_may_name_an_instrument_of_a_study(
    mapping: str, others: list[tuple[str, str, float]], tmp_path: Path
) -> None:
    folder = write(tmp_path, mapping).path
    without = read_clinic(folder)
    assert found(without) == others
    assert (without.counts, without.tallies[TALLY]) == ({CODE: 1}, 2)
    assert without.quarantine.height == 0
    (told,) = without.findings
    assert (told.file, told.row, told.quarantined) == ("mapping.toml", None, False)
    assert "K10" in told.what
    assert "PHQ-9" in told.remedy
    own = read_clinic(folder, instruments=[K10])
    assert found(own) == [("a", "K10", 31.0), ("b", "K10", 29.0), *others]
    assert (own.counts, TALLY in own.tallies) == ({}, False)
    assert read_clinic(folder, brought={"K10"}).findings == ()


def test_so_may_the_mapping_of_an_export(tmp_path: Path) -> None:
    mapping = FHIR + '[fhir.codes]\nkessler = "K10"\n[fhir.items]\nk1 = "K10/1"\n'
    more = [observation("kessler", valueInteger=31), observation("k1", valueInteger=3)]
    folder = write_fhir(tmp_path, patient(), plan(), observation(), *more, mapping=mapping)
    without = read_clinic(folder)
    assert found(without) == [("zq1", "PHQ-9", 12.0)]
    assert (without.counts, without.tallies[TALLY]) == ({CODE: 1}, 2)
    assert ("zq1", "K10", 31.0) in found(read_clinic(folder, instruments=[K10]))


def test_so_may_the_mapping_of_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mapping.toml").write_text(
        'cairn = 1\n[omop]\nurl = "sqlite:///x"\nentry = { table = "visit_occurrence" }\n'
        '[omop.instruments]\n"PHQ-9" = ["LOINC:44261-6"]\nK10 = ["source:K10"]\n'
    )
    rows = [(1, "1", "2024-01-08", "PHQ-9", "12"), (2, "1", "2024-01-08", "K10", "31")]
    columns = ["row", "patient", "date", "instrument", "value"]
    scores = pl.DataFrame(rows, schema=columns, orient="row")
    people = pl.DataFrame({"row": [1], "patient": ["1"], "entry": ["2024-01-01"]})
    reply = Reply({"scores": Table(scores, ()), "patients": Table(people, ())}, {})
    monkeypatch.setattr(omop, "ask_importer", lambda *_: reply)
    assert found(read_clinic(tmp_path)) == [("1", "PHQ-9", 12.0)]
    own = read_clinic(tmp_path, instruments=[K10])
    assert found(own) == [("1", "K10", 31.0), ("1", "PHQ-9", 12.0)]


def test_an_import_is_kept_and_each_study_finds_its_own(tmp_path: Path) -> None:
    clinic, study = write(tmp_path, CODES), Study.parse(A_STUDY.encode())
    own = own_instruments(study)
    first = run_import(clinic, "Ada", lambda: [study], day=TODAY)
    assert first.read.counts == {CODE: 1}
    (fit,) = first.found.facts.studies or ()
    assert "scores of K10 are read when its first run is opened" in fit.faults
    import_records(clinic, own=own, day=TODAY)
    kept = RecordStore(clinic.state, clinic.identity()).kept(own)
    assert kept is not None
    assert kept.records.scores["value"].to_list() == [31.0, 29.0]
    for ran in (
        run_import(clinic, "Ada", lambda: [study], day=TODAY),
        dry_run(clinic, "Ada", lambda: [study], TODAY),
    ):
        (fit,) = ran.found.facts.studies or ()
        assert (fit.inside, fit.with_outcome) == (2, 2)
        assert not any("K10" in fault for fault in fit.faults)
        assert ran.read.findings == (), "a study brings it: the mapping is right"


def test_who_has_scores_of_a_study_alone_leaves_with_a_refused_import(tmp_path: Path) -> None:
    mapping = CODES + '[consent]\nfile = "consent.csv"\npatient = "p"\nends = "until"\n'
    clinic, own = write(tmp_path, mapping), (K10,)
    consent, scores = clinic.path / "consent.csv", clinic.path / "scores.csv"
    people = [f"s{i}" for i in range(6)]
    scores.write_text("p,w,i,v\n" + "".join(f"{p},0,KESSLER,20\n" for p in people))
    consent.write_text("p,until\n" + "".join(f"{p},\n" for p in people))
    import_records(clinic, own=own, day=TODAY)
    scores.write_text("p,w,i,v\n" + "".join(f"{p},0,KESSLER,20\n" for p in people[:2]))
    consent.write_text(consent.read_text().replace("s1,", "s1,2024-06-01"))
    with pytest.raises(PolicyRefusal, match="import-loss"):
        import_records(clinic, own=own, day=TODAY)
    kept = RecordStore(clinic.state, clinic.identity()).kept(own)
    assert kept is not None
    assert kept.records.patients["patient"].to_list() == ["s0", "s2", "s3", "s4", "s5"]


def test_a_mistyped_name_is_told_by_the_import_and_the_doctor(tmp_path: Path) -> None:
    clinic = write(tmp_path, CODES.replace("K10", "PQH-9"))
    ran = run_import(clinic, "Ada", lambda: None, day=TODAY)
    (fault,) = ran.found.facts.faults
    assert (fault.code, "PQH-9" in fault.what, "PHQ-9" in fault.remedy) == (CODE, True, True)
    told = one(records(Site(clinic.path, clinic.config)), "records.instruments")
    assert (told.level, "PQH-9" in told.what) == (Level.UNCHECKED, True)
    (clinic.path / "mapping.toml").write_text(CODES + "typo = 3\n")
    with pytest.raises(InputError, match="mapping-invalid"):
        read_clinic(clinic.path)
