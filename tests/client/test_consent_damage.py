"""A damaged line that may be a withdrawal: whom it names is out, and nobody is guessed to be in."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from cairn_client.readers import Import, read_clinic
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
"""
TABLE = '[consent]\nfile = "consent.csv"\npatient = "p"\nbegins = "b"\nends = "e"\n'
PATIENTS = '[patients]\nfile = "patients.csv"\npatient = "p"\n'
IN_ROWS = PATIENTS + 'consent_begins = "b"\nconsent_ends = "e"\n'
TAGGED = PATIENTS + 'sensitive = "t"\n'
EVERYONE = ["a-001", "a-002", "a-003"]
BEGUN = "".join(f"A-00{i},2024-01-01,,\n" for i in (1, 2, 3))


def read(folder: Path, more: str, table: str | bytes, ids: list[str] = EVERYONE) -> Import:
    name = "consent.csv" if more.startswith("[consent]") else "patients.csv"
    (folder / "mapping.toml").write_text(MAPPING + more)
    rows = "".join(f"{i},0,9\n" for i in ids)
    (folder / "scores.csv").write_text("id,week,value\n" + rows)
    (folder / name).write_bytes(table if isinstance(table, bytes) else table.encode())
    return read_clinic(folder, day=date(2024, 6, 30))


def who(imported: Import) -> list[str]:
    return imported.records.patients["patient"].to_list()


HEADER = "p,b,e,reason\n"
BROKEN: dict[str, tuple[str, bytes]] = {
    "a comma without quotes": ("row-ragged", b"A-001,,2024-03-01,moved, new therapist\n"),
    "fields are missing": ("row-ragged", b"A-001,2024-03-01\n"),
    "Latin-1": ("not-decodable", b"A-001,,2024-03-01,\xfcber Nacht\n"),
    "quotes in a field": ("quote-open", b'A-001,,2024-03-01,said "stop"\n'),
    "a quote that stays open": ("quote-open", b'"A-001,,2024-03-01,moved\n'),
    "NUL": ("nul-byte", b"A-0\x0001,,2024-03-01,moved\n"),
    "another spelling": ("row-ragged", " a-\u00a0001,,2024-03-01,x,y\n".encode()),
    "a comma before": ("row-ragged", b"Meyer, Anna,A-001,,2024-03-01,x\n"),
}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", BROKEN)
def test_who_is_named_in_a_damaged_line_is_out(name: str, end: bytes, tmp_path: Path) -> None:
    code, line = BROKEN[name]
    head, begun = HEADER, BEGUN
    if name == "a comma before":
        head, begun = "name," + HEADER, "".join(f"x,{row}\n" for row in BEGUN.splitlines())
    data = (head + begun).encode() + line
    imported = read(tmp_path, TABLE, data.replace(b"\n", end))
    assert who(imported) == ["a-002", "a-003"]
    assert imported.counts == {code: 1, "consent-damaged": 1}
    assert [(f.file, f.row) for f in imported.findings] == [("consent.csv", 5)] * 2
    assert imported.quarantine["code"].to_list() == [code]
    assert imported.tallies["patients left out: no consent"] == 1
    assert "a-001" not in said(imported).lower()


def test_a_mended_line_lets_the_patient_back_in(tmp_path: Path) -> None:
    imported = read(tmp_path, TABLE, HEADER + BEGUN + 'A-001,,2024-08-01,"moved, later"\n')
    assert who(imported) == EVERYONE
    assert imported.counts == {}


@pytest.mark.parametrize(
    "line",
    [
        b"A-0\xfc1,,2024-03-01,moved\n",  # the identifier itself is damaged
        b"A-009,,2024-03-01,moved, new\n",  # nobody whom the files know
        b"A-0\xfc1,,2024-03-01,A-002\n",  # somebody is named, and it is not whose line it is
        b"A-00\xfc1,2024-03-01,moved, to A-002\n",
        b"2024-03-01,moved\n",
        b"A-001",  # the file breaks off, perhaps within A-0012
        b"A-001,,2024-03-01," + b"x" * (1 << 20) + b"\n",
    ],
)
def test_a_damaged_line_that_does_not_say_whose_it_is_stops_the_import(
    line: bytes, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refusal:
        read(tmp_path, TABLE, (HEADER + BEGUN).encode() + line)
    error = refusal.value
    assert error.code == "input.consent-damaged"
    told = f"{error} {error.why} {error.hint}"
    assert "consent.csv" in told
    assert "row 5" in told
    assert error.why
    assert "mend" in (error.hint or "")
    assert not any(word in told for word in ("A-0", "moved", "2024"))


def test_a_line_of_nothing_stops_no_import(tmp_path: Path) -> None:
    imported = read(tmp_path, TABLE, HEADER + BEGUN + " \n,,,,,,\n\x1a")
    assert who(imported) == EVERYONE
    assert imported.counts == {"row-ragged": 3}


def test_two_rows_that_became_one_line(tmp_path: Path) -> None:
    line = "A-001,2024-01-01,,A-002,,2024-03-01,moved\n"
    assert who(read(tmp_path, TABLE, HEADER + BEGUN + line)) == ["a-003"]


def test_a_row_within_another_s_open_quote_counts(tmp_path: Path) -> None:
    rows = 'A-003,2024-01-01,,"by letter\nA-001,,2024-03-01,moved, far"\n'
    imported = read(tmp_path, TABLE, HEADER + BEGUN + rows)
    assert who(imported) == ["a-002", "a-003"]
    assert imported.counts["consent-damaged"] == 1
    plain = 'A-003,2024-01-01,,"by letter\nto A-001, once\nA-001\n"\n'
    assert who(read(tmp_path, TABLE, HEADER + BEGUN + plain)) == EVERYONE


def test_consent_in_the_patients_own_rows(tmp_path: Path) -> None:
    imported = read(tmp_path, IN_ROWS, HEADER + BEGUN + "A-001,,2024-03-01,moved, far\n")
    assert who(imported) == ["a-002", "a-003"]
    assert imported.tallies["patients left out: no consent"] == 1
    with pytest.raises(InputError, match=r"patients\.csv"):
        read(tmp_path, IN_ROWS, HEADER + BEGUN + "x,,2024-03-01,moved, far\n")


def test_a_tag_of_a_sensitive_programme_in_a_damaged_line(tmp_path: Path) -> None:
    rows = "p,t\nA-001,\nA-002,\nA-003,\n"
    imported = read(tmp_path, TAGGED, rows + "A-002,SUD, since May\n")
    assert who(imported) == ["a-001", "a-003"]
    assert imported.tallies["patients left out: sensitive programme"] == 1
    assert imported.counts == {"row-ragged": 1, "consent-damaged": 1}


def test_a_table_without_consent_loses_its_damaged_line_alone(tmp_path: Path) -> None:
    imported = read(tmp_path, PATIENTS, "p,t\nA-001,\nA-002,\nA-003,\nx,1,2\nA-002,1,2\n")
    assert who(imported) == EVERYONE
    assert imported.counts == {"row-ragged": 2}


def test_a_damaged_row_of_a_parquet_file(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "p": ["A-001", "A-002", "A-003", "a-001"],
            "b": ["2024-01-01"] * 3 + [None],
            "e": [None, None, None, "2024-03-\x0001"],
        }
    )
    frame.write_parquet(tmp_path / "consent.parquet")
    more = TABLE.replace(".csv", ".parquet")
    imported = read(tmp_path, more, "")
    assert who(imported) == ["a-002", "a-003"]
    assert imported.counts == {"nul-byte": 1, "consent-damaged": 1}
