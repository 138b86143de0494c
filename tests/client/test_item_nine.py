"""Answers to PHQ-9 item 9: those above 0 are kept beside the records, and go nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.importing import import_records
from cairn_client.record_pack import Kept, digest, pack, unpack
from cairn_client.record_store import FILE, RecordStore
from cairn_client.returned.here import records_here
from cairn_client.study_records import StudyRecords
from cairn_protocol.study import Study
from returned_bench import STUDY, TODAY, Patient, write_clinic

WANTED = [("k-adam", 2.0, 2), ("k-zara", 8.0, 3)]


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicFolder:
    return write_clinic(tmp_path / "ash")


def test_an_import_keeps_them_sealed_and_gives_them_back(clinic: ClinicFolder) -> None:
    import_records(clinic, day=TODAY)
    store = RecordStore(clinic.state, clinic.identity())
    kept = store.kept()
    assert kept is not None
    assert kept.item_nine.rows() == WANTED
    assert records_here(clinic, Study.parse(STUDY.encode()), TODAY).item_nine.rows() == WANTED
    assert b"k-adam" not in (clinic.state / FILE).read_bytes()


def test_they_are_packed_and_named_by_the_digest_only_where_there_are_any(
    clinic: ClinicFolder,
) -> None:
    kept = Kept.of(clinic.read(day=TODAY))
    bare = replace(kept, item_nine=kept.item_nine.head(0))
    for one in (kept, bare):
        back = unpack(pack(one))
        assert back.item_nine.equals(one.item_nine)
        assert digest(back) == digest(one)
    assert digest(kept) != digest(bare)
    other = kept.item_nine.with_columns(pl.col("value") + 1)
    assert digest(replace(kept, item_nine=other)) != digest(kept)


def test_who_is_left_out_is_left_out_here_too(clinic: ClinicFolder) -> None:
    kept = Kept.of(clinic.read(day=TODAY)).only(pl.Series(["k-zara"]))
    assert kept.item_nine.rows() == WANTED[1:]


def test_an_unfinished_questionnaire_tells_all_the_same(tmp_path: Path) -> None:
    clinic = write_clinic(tmp_path / "ash", (Patient("k", "waiting", 9, ((0, 10),), ((0, 1),)),))
    lines = (clinic.path / "scores.csv").read_text().splitlines()
    (clinic.path / "scores.csv").write_text("\n".join([lines[0], *lines[3:]]) + "\n")
    read = clinic.read(day=TODAY)
    assert read.records.scores.height == 0
    assert read.item_nine.rows() == [("k", 0.0, 1)]


def test_no_study_is_given_them(clinic: ClinicFolder) -> None:
    study = Study.parse(STUDY.encode())
    import_records(clinic, day=TODAY)
    records = StudyRecords(clinic, today=lambda: TODAY)
    records.have(study, bytes(16))
    given = records.of(bytes(16))
    assert not hasattr(given, "item_nine")
    assert {field for field in vars(given) if "nine" in field} == set()
