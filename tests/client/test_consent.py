"""Whose records are used: dates of consent, withdrawal, sensitive programmes, free text."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_client.free_text import check_no_free_text
from cairn_client.readers import Import, read_clinic
from cairn_client.readers.consent import PERIODS, Consent
from cairn_protocol.errors import InputError
from clinic_files import said

MAPPING = """\
cairn = 1
[scores]
file = "scores.csv"
patient = "id"
week = "week"
instrument_is = "PHQ-9"
value = "value"
sensitive = "part2"
[patients]
file = "patients.csv"
patient = "id"
"""
SCORES = "id,week,value,part2\n" + "".join(f"zq{i},0,{10 + i},\nzq{i},4,9,\n" for i in range(1, 5))
TODAY = date(2024, 6, 30)


def write(folder: Path, more: str, scores: str = SCORES, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "mapping.toml").write_text(MAPPING + more)
    for name, text in {"scores": scores, **files}.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def who(read: Import) -> list[str]:
    tables = (read.records.scores, read.records.engagement, read.records.wearables)
    everyone = set(read.records.patients["patient"])
    assert all(set(table["patient"]) <= everyone for table in tables)
    return sorted(everyone)


IN_ROWS = 'consent_begins = "yes"\nconsent_ends = "no"\n'
PATIENTS = """\
id,yes,no
zq1,2024-01-01,
zq2,2024-01-01,2024-06-30
zq3,,
zq4,2024-07-01,
"""


def test_dates_in_the_patients_own_rows(tmp_path: Path) -> None:
    write(tmp_path, IN_ROWS, patients=PATIENTS)
    read = read_clinic(tmp_path, day=TODAY)
    assert who(read) == ["zq1"]
    assert read.findings == ()
    left = {k: n for k, n in read.tallies.items() if "left out" in k}
    assert left == {
        "patients left out: consent ended": 1,
        "patients left out: no consent": 1,
        "patients left out: consent not begun": 1,
    }
    assert "zq" not in said(read)
    assert who(read_clinic(tmp_path, day=date(2024, 6, 29))) == ["zq1", "zq2"]
    assert who(read_clinic(tmp_path, day=date(2024, 7, 1))) == ["zq1", "zq4"]
    assert who(read_clinic(tmp_path, day=date(2023, 12, 31))) == []


def test_where_only_ends_are_mapped_everybody_is_in_until_theirs(tmp_path: Path) -> None:
    write(tmp_path, 'consent_ends = "no"\n', patients=PATIENTS)
    assert who(read_clinic(tmp_path, day=TODAY)) == ["zq1", "zq3", "zq4"]


def test_without_consent_in_the_mapping_nobody_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "", patients=PATIENTS)
    assert who(read_clinic(tmp_path, day=TODAY)) == ["zq1", "zq2", "zq3", "zq4"]


TABLE = '[consent]\nfile = "consent.csv"\npatient = "id"\nbegins = "yes"\nends = "no"\n'


@pytest.mark.parametrize(
    ("rows", "inside"),
    [
        ("zq1,2024-01-01,\n", True),
        ("zq1,2024-01-01,\nzq1,2024-01-01,2024-05-01\n", False),  # the open row was forgotten
        ("zq1,2024-01-01,\nzq1,,2024-05-01\n", False),  # a row of withdrawal
        ("zq1,2024-01-01,\nzq1,,2024-05-01\nzq1,2024-06-01,\n", True),  # came back
        ("zq1,2024-01-01,\nzq1,,2024-05-01\nzq1,2024-05-01,\n", False),  # the same day: which?
        ("zq1,2024-01-01,\nzq1,,2024-08-01\n", True),  # not yet
        ("zq1,2024-01-01,\nzq1,,31.5.2024\n", False),  # unreadable: out until mended
        ("zq1,2024-01-01,\nZQ 1,,2024-05-01\n", False),  # another spelling of the same person
        ("zq1,2024-05-01,2024-01-01\n", False),
        ("", False),
    ],
)
def test_a_table_of_consent(tmp_path: Path, rows: str, inside: bool) -> None:
    write(tmp_path, TABLE, patients="id\nzq1\n", consent="id,yes,no\n" + rows)
    assert (who(read_clinic(tmp_path, day=TODAY)) == ["zq1"]) is inside


def test_consent_in_two_places_is_refused(tmp_path: Path) -> None:
    write(tmp_path, IN_ROWS + TABLE, patients=PATIENTS, consent="id,yes,no\n")
    with pytest.raises(InputError, match="not in both"):
        read_clinic(tmp_path)


days = st.dates(date(2024, 1, 1), date(2024, 1, 12))
rows = st.lists(
    st.tuples(st.sampled_from("ab"), st.none() | days, st.none() | days, st.booleans()), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(rows, days)
def test_the_rule_against_a_slow_reading_of_it(
    found: list[tuple[str, date | None, date | None, bool]], day: date
) -> None:
    """Some row covers the day and began after every end that has come."""
    consent = Consent(pl.DataFrame(found, schema=PERIODS, orient="row"))
    expected = set()
    for patient in "ab":
        own = [(b, e, g) for p, b, e, g in found if p == patient]
        over = [e for _, e, _ in own if e is not None and e <= day]
        if any(
            g
            and (b is None or b <= day)
            and (e is None or e > day)
            and (not over or (b is not None and b > max(over)))
            for b, e, g in own
        ):
            expected.add(patient)
    out = consent.by(pl.Series(["a", "b"]), day)
    assert set(out["patient"]) == {"a", "b"} - expected
    alone = consent.of(pl.Series(["a"])).by(pl.Series(["a"]), day)
    assert alone.rows() == [row for row in out.rows() if row[0] == "a"], "nobody else matters"


@pytest.mark.parametrize("word", ["1", "yes", "Ja", "substance use", "да"])
def test_a_tagged_row_is_left_out_and_no_other(tmp_path: Path, word: str) -> None:
    scores = SCORES.replace("zq2,4,9,", f"zq2,4,9,{word}").replace("zq3,4,9,", "zq3,4,9,No")
    read = read_clinic(write(tmp_path, "", scores, patients=PATIENTS))
    assert read.counts == {"row-sensitive": 1}
    clean = read_clinic(write(tmp_path, "", patients=PATIENTS))
    gone = (pl.col("patient") == "zq2") & (pl.col("time") == 4)
    assert read.records.scores.equals(clean.records.scores.filter(~gone))


def test_a_tagged_patient_is_left_out_with_all_rows(tmp_path: Path) -> None:
    people = "id,tag\nzq1,\nzq2,SUD\nzq3,0\nzq4,no\n"
    read = read_clinic(write(tmp_path, 'sensitive = "tag"\n', patients=people))
    assert who(read) == ["zq1", "zq3", "zq4"]
    assert read.tallies["patients left out: sensitive programme"] == 1
    assert "patient-unknown" not in read.counts


def with_variable(folder: Path, cells: list[str]) -> Import:
    people = "id,note\n" + "".join(f"p{i},{cell}\n" for i, cell in enumerate(cells))
    scores = "id,week,value,part2\np0,0,9,\n"
    more = '[patients.variables]\nremark = "note"\n'
    return read_clinic(write(folder, more, scores, patients=people))


NAMES = [f"Name{i} Surname{i}" for i in range(120)]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["feels worse since the last visit"] * 3 + ["low"] * 20, "sentences"),
        (["x" * 65] * 3 + ["low"] * 20, "longer than 64"),
        (NAMES, "different words"),
        (NAMES[:45], "different words"),  # a clinic of 45
        (NAMES[:10], "different words"),
    ],
)
def test_a_column_of_free_text_is_refused_without_a_cell(
    tmp_path: Path, cells: list[str], why: str
) -> None:
    with pytest.raises(InputError, match=why) as told:
        check_no_free_text(with_variable(tmp_path, cells))
    assert told.value.code == "input.free-text"
    shown = f"{told.value} {told.value.hint}"
    assert not any(cell in shown for cell in cells)


def test_ordinary_variables_are_not_refused(tmp_path: Path) -> None:
    for number, cells in enumerate(
        (
            ["some college no degree"] * 40 + ["none"] * 2,
            [f"E{i % 30:02}" for i in range(50)],  # thirty districts, few patients in each
            [f"F{i}" for i in range(9)],  # nine patients with nine diagnoses
            [f"F{i % 32}" for i in range(40)],  # and forty with thirty-two
            ["one note only with many words", *["low"] * 40],
            [],
        )
    ):
        check_no_free_text(with_variable(tmp_path / str(number), cells))
