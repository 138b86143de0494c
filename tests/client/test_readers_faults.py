"""One case a fault: its code, its row, its remedy, the survival of every other row, and silence.

Each case damages a valid folder. The offending value and the identifiers of patients carry
marks (`SECRET`, `zq`), and no message may hold them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from cairn_client.readers import FAULTS, Import, read_clinic
from clinic_files import FILES, SCORES, frames, said, write_folder


@pytest.fixture
def clean(tmp_path: Path) -> Import:
    folder = tmp_path / "clean"
    folder.mkdir()
    return read_clinic(write_folder(folder))


def test_a_clean_folder_is_read_without_a_finding(clean: Import) -> None:
    assert clean.findings == ()
    assert clean.counts == {}
    assert "No faults found" in clean.summary()
    assert "synthetic" in clean.summary()
    r = clean.records
    assert r.patients.select("patient", "arm", "sex", "age").rows() == [
        ("zq1", "treatment_as_usual", "f", 31.0),
        ("zq2", "dmhi_guided", "m", 44.0),
        ("zq3", "dmhi_guided", "f", 28.0),
    ]
    assert r.patients.schema["entry"] == pl.Date
    assert r.scores.rows() == [
        ("zq1", 0.0, "PHQ-9", 15.0),
        ("zq1", 1.0, "PHQ-9", 14.0),
        ("zq2", 0.0, "GAD-7", 12.0),
        ("zq2", 4.0, "WSAS", 20.0),
    ]
    assert r.engagement.rows() == [
        ("zq2", 1.0, "logins", 3.0),
        ("zq2", 2 / 7, "started", 1.0),
    ]
    assert r.wearables.rows() == [("zq2", 1, "steps", 5400.0, 0.71)]


@dataclass(frozen=True)
class Case:
    """Rows added to the end of a valid file, and the finding that the last of them brings."""

    code: str
    table: str
    rows: str | bytes
    remedy: str


BIG = "SECRET" * 20
CASES = [
    Case("score-out-of-range", "scores", "zq1,3,PHQ-9,28,,SECRET", "mend the score"),
    Case("score-out-of-range", "scores", "zq1,3,PHQ-9,-1,,SECRET", "mend the score"),
    Case("decimal-comma", "scores", 'zq1,3,PHQ-9,"12,5",,SECRET', 'decimal = ","'),
    Case("thousand-separator", "scores", 'zq1,3,PHQ-9,"1,012",,', "without thousand separators"),
    Case("thousand-separator", "scores", "zq1,3,PHQ-9,1 012,,", "without thousand separators"),
    Case("thousand-separator", "scores", "zq1,3,PHQ-9,1'012.5,,", "without thousand separators"),
    Case("number-unreadable", "scores", "zq1,3,PHQ-9,SECRET,,", "plain number"),
    Case("number-unreadable", "scores", "zq1,3,PHQ-9,٣,,", "plain number"),
    Case("number-unreadable", "scores", "zq1,3,PHQ-9,0x1F,,", "plain number"),
    Case("number-not-finite", "scores", "zq1,3,PHQ-9,NaN,,SECRET", "without a measurement"),
    Case("number-not-finite", "scores", "zq1,3,PHQ-9,-inf,,SECRET", "without a measurement"),
    Case("number-not-finite", "scores", "zq1,3,PHQ-9,1e999,,SECRET", "without a measurement"),
    Case("number-missing", "scores", "zq1,3,PHQ-9,,,SECRET", "nothing was measured"),
    Case("number-unreadable", "scores", "zq1,SECRET,PHQ-9,3,,", "plain number"),
    Case("time-missing", "scores", "zq1,,PHQ-9,3,,SECRET", "fill in the column week"),
    Case("time-before-entry", "scores", "zq1,-27,PHQ-9,3,,", "earliest_week"),
    Case("time-too-late", "scores", "zq1,521,PHQ-9,3,,", "latest_week"),
    Case("time-before-entry", "engagement", "zq1,2023-01-01,logins,3", "earliest_week"),
    Case("date-unreadable", "engagement", "zq1,SECRET,logins,3", "date_format"),
    Case("date-unreadable", "engagement", "zq1,2024-02-30,logins,3", "date_format"),
    Case("date-implausible", "engagement", "zq1,1024-02-03,logins,3", "mend the date"),
    Case("time-missing", "engagement", "zq1,,logins,3", "fill in the column day"),
    Case("entry-missing", "engagement", "zq3,2024-02-03,logins,3", "patient's entry"),
    Case("patient-missing", "scores", " ,3,PHQ-9,3,,SECRET", "fill in the column patient"),
    Case("patient-missing", "scores", "\u200b,3,PHQ-9,3,,SECRET", "fill in the column patient"),
    Case("patient-too-long", "scores", f"{BIG}123456789,3,PHQ-9,3,,", "identifiers"),
    Case("patient-unknown", "scores", "zqSECRET,3,PHQ-9,3,,", "add the patient there"),
    Case("instrument-missing", "scores", "zq1,3,,3,,SECRET", "fill in the column instrument"),
    Case("instrument-unknown", "scores", "zq1,3,OQ-45,3,,SECRET", '"OQ-45" = "its name"'),
    Case("instrument-unknown", "scores", "zq1,3,SECRET says a patient so,3,,", '"its code" ='),
    Case("instrument-unknown", "scores", "zq1,3,zq2,3,,", '"its code" ='),
    Case("instrument-unknown", "scores", "zq1,3,4711,3,,", '"its code" ='),
    Case("duplicate-row", "scores", " ZQ1,0.0,phq-9,15,,SECRET", "nothing to do"),
    Case("value-twice", "scores", "zq1,0,PHQ9,13,,SECRET", "keep the right one"),
    Case("row-ragged", "scores", "zq1,3,PHQ-9,12,5,,SECRET", "decimal comma"),
    Case("row-ragged", "scores", "zq1,3,SECRET", "decimal comma"),
    Case("quote-open", "scores", 'zq1,3,PHQ-9,12,,"SECRET', "close it"),
    Case("quote-open", "scores", 'zq1,3,PHQ-9,12,,5" SECRET', "close it"),
    Case("quote-open", "scores", 'zq1,3,PHQ-9,12,,"a"SECRET', "close it"),
    Case("quote-open", "scores", 'zq1,3,PHQ-9,12,,say "SECRET"', "close it"),
    Case("nul-byte", "scores", b"zq1,3,PHQ-9,1\x002,,SECRET", "damage"),
    Case("not-decodable", "scores", b"zq1,3,PHQ-9,12,,SECRET\xe4", 'encoding = "latin-1"'),
    Case("row-too-long", "scores", "zq1,3,PHQ-9,12,," + "SECRET" * 200_000, "free text"),
    Case("patient-twice", "patients", "zq1,APP,2024-01-01,2024-06-01,f,31,", "one row a patient"),
    Case("duplicate-row", "patients", "Zq 1,TAU,2024-01-01,2024-06-01,f,31,", "nothing to do"),
    Case("arm-unknown", "patients", "zq4,SECRET,,,f,31,", "[patients.arms]"),
    Case("discharge-before-entry", "patients", "zq4,TAU,2024-03-01,2024-02-01,f,3,", "two dates"),
    Case("date-unreadable", "patients", "zq4,TAU,31/01/2024,,f,31,", '"%d/%m/%Y"'),
    Case("date-implausible", "patients", "zq4,TAU,1901-01-31,,f,31,", "mend the date"),
    Case("value-out-of-range", "engagement", "zq1,2024-01-10,alliance,6", "its unit"),
    Case("measure-unknown", "engagement", "zq1,2024-01-10,SECRET,6", "[engagement.measures]"),
    Case("measure-missing", "engagement", "zq1,2024-01-10,,6", "fill in the column measure"),
    Case("value-twice", "engagement", "zq2,2024-01-15,logins,4", "keep the right one"),
    Case("coverage-out-of-range", "wearables", "zq1,2,steps,6000,71", "0.71, not 71 %"),
    Case("value-out-of-range", "wearables", "zq1,2,sleep_hours,420,0.7", "its unit"),
    Case("week-not-whole", "wearables", "zq1,2.5,steps,6000,0.7", "0, 1, 2"),
    Case("value-twice", "wearables", "zq2,1,steps,5400,0.5", "keep the right one"),
    Case("item-unknown", "scores", "zq1,9,PHQ-9,1,SECRET,", "[scores.items]"),
    Case("item-out-of-range", "scores", "zq1,9,PHQ-9,4,1,", "mend the answer"),
    Case("items-incomplete", "scores", "zq1,9,PHQ-9,3,1,", "prorate = true"),
    Case("items-unsupported", "scores", "zq1,9,BDI-II,3,1,", "export the total"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c.code}" for i, c in enumerate(CASES)])
def test_a_faulty_row_is_named_and_costs_nobody_else_theirs(
    case: Case, clean: Import, tmp_path: Path
) -> None:
    valid = FILES[f"{case.table}.csv"]
    added = case.rows if isinstance(case.rows, bytes) else case.rows.encode()
    text = valid.encode() + added + b"\n"
    imported = read_clinic(write_folder(tmp_path, **{case.table: text}))

    assert frames(imported) == frames(clean)
    assert imported.counts == {case.code: 1}
    (finding,) = imported.findings
    assert (finding.code, finding.file) == (case.code, f"{case.table}.csv")
    assert finding.row == valid.count("\n") + 1
    assert finding.quarantined is FAULTS[case.code].quarantined
    assert case.remedy in finding.remedy
    aside = imported.quarantine.select("file", "row", "code").rows()
    assert aside == ([(finding.file, finding.row, case.code)] if finding.quarantined else [])
    assert "SECRET" not in said(imported)
    assert "zq" not in said(imported).lower()


ALONE = [c for c in CASES if c.code not in {"duplicate-row", "value-twice", "patient-twice"}]


@pytest.mark.parametrize("case", ALONE, ids=[f"{i}-{c.code}" for i, c in enumerate(ALONE)])
def test_a_faulty_row_in_the_middle_leaves_the_rows_after_it_alone(
    case: Case, clean: Import, tmp_path: Path
) -> None:
    head, rest = FILES[f"{case.table}.csv"].encode().split(b"\n", 1)
    added = case.rows if isinstance(case.rows, bytes) else case.rows.encode()
    text = head + b"\r\n\r\n" + added + b"\r\n" + rest.replace(b"\n", b"\r\n")
    imported = read_clinic(write_folder(tmp_path, **{case.table: text}))
    assert frames(imported) == frames(clean)
    assert [(f.code, f.row) for f in imported.findings] == [(case.code, 3)]


NOTED = [
    ("scores", "zq3,0,WSAS,12.5,,", "score-not-whole", ("zq3", 0.0, "WSAS", 12.5)),
    ("patients", "zq4,TAU,,,f,SECRET,", "variable-not-a-number", ("f", None)),
    ("patients", f"zq4,TAU,,,{BIG},31,", "variable-free-text", (None, 31.0)),
]


@pytest.mark.parametrize(("table", "row", "code", "kept"), NOTED)
def test_what_is_only_noted_keeps_its_row(
    table: str, row: str, code: str, kept: tuple[object, ...], tmp_path: Path
) -> None:
    text = FILES[f"{table}.csv"] + row + "\n"
    imported = read_clinic(write_folder(tmp_path, **{table: text}))
    assert imported.counts == {code: 1}
    assert not imported.findings[0].quarantined
    assert imported.quarantine.height == 0
    assert any(found[-len(kept) :] == kept for found in frames(imported)[table])
    assert "SECRET" not in said(imported)


def test_a_table_with_a_header_only_is_noted(tmp_path: Path) -> None:
    imported = read_clinic(write_folder(tmp_path, scores=SCORES.splitlines()[0]))
    (finding,) = imported.findings
    assert (finding.code, finding.row, finding.quarantined) == ("table-empty", None, False)
    assert imported.records.scores.height == 0
    assert len(imported.records) == 3


def test_every_fault_has_a_case() -> None:
    lines = {"rows-in-quotes"}  # test_readers_lines.py
    items = {"total-without-items", "total-disagrees"}  # test_readers_items.py
    decimal = {"decimal-point"}  # test_readers.py
    decimal |= {"instrument-of-a-study"}  # test_study_instruments.py
    consent = {"consent-backwards", "row-sensitive"}  # test_consent.py
    consent |= {"consent-damaged"}  # test_consent_damage.py
    resources = {"resource-too-long", "resource-too-deep", "not-json"}  # test_fhir_hostile.py
    values = {"value-unusable", "value-not-exact", "answer-unknown", "unit-unknown"}  # …_scores.py
    people = {"arm-twice", "consent-unresolved", "consent-unclear"}  # test_fhir_people.py
    fhir = resources | values | people
    tested = {c.code for c in CASES} | {code for _, _, code, _ in NOTED} | {"table-empty"}
    assert tested | lines | items | decimal | consent | fhir == set(FAULTS)
