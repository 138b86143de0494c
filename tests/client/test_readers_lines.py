"""The scan of lines against the standard library's parser, and what it does where that guesses."""

from __future__ import annotations

import csv
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cairn_client.readers.csv_folder import frame_of
from cairn_client.readers.lines import (
    Scan,
    _shape_of_lines,
    _shape_of_uneven,
    records,
    scan,
)

CELL = st.text(alphabet='ab1 .,;"\n\r\té😀', max_size=6)


def cells(scanned: Scan) -> list[tuple[int, tuple[str, ...]]]:
    """Every record with its line, by the slow path."""
    one_line = zip(scanned.rows.tolist(), records(scanned, ","), strict=True)
    return sorted([*one_line, *scanned.spanning])


@settings(max_examples=300, deadline=None)
@given(
    table=st.lists(st.tuples(CELL, CELL, CELL), max_size=8),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_well_formed_files_read_as_the_standard_library_reads_them(
    table: list[tuple[str, str, str]], quoting: int, end: str
) -> None:
    # A lone \r ends a line for the standard library even where the file ends its lines with \n.
    assume(quoting == csv.QUOTE_ALL or not any("\r" in cell for row in table for cell in row))
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=quoting, lineterminator=end)
    writer.writerow(("x", "y", "z"))
    writer.writerows(table)
    text = file.getvalue()
    scanned = scan(text.encode(), ",")
    assert scanned.header == ("x", "y", "z")
    assert {code for code, _ in scanned.faults} <= {"rows-in-quotes"}

    reader = csv.reader(io.StringIO(text, newline=""))
    expected, line = [], next(reader) and 1
    for fields in reader:
        expected.append((line + 1, tuple(fields)))
        line += 1 + sum(field.count("\n") for field in fields)
    assert cells(scanned) == expected

    frame = frame_of(scanned, ",", {"a": 2, "b": 0})
    kept = [(r, f) for r, f in expected if stripped(f[2]) or stripped(f[0])]
    assert frame.rows() == [(r, stripped(f[2]), stripped(f[0])) for r, f in kept]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(alphabet='a,"\r', max_size=9), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_the_quick_look_at_quotes_is_the_careful_one(lines: list[str], end: str) -> None:
    """The file as a whole is looked at where every line has an even number of quotes."""
    even = [line if line.count('"') % 2 == 0 else line + '"' for line in lines]
    buf = np.frombuffer("".join(line + end for line in even).encode(), np.uint8)
    ends = np.flatnonzero(buf == 10)
    starts = np.concatenate([[0], ends[:-1] + 1])
    stops = ends - ((buf[ends - 1] == 13) & (ends > starts))
    quick, careful = _shape_of_lines, _shape_of_uneven
    for one, other in zip(
        quick(buf, starts, stops, 44), careful(buf, starts, stops, 44), strict=True
    ):
        assert one.tolist() == other.tolist()


def stripped(text: str) -> str | None:
    return text.strip() or None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(",;\t|"))
@example(b'"', ",")
@example(b'a\n"', ",")
@example(b'a,b\n"x\ny",1\n"x\n\ny",2\n', ",")
@example(b"\r\n\r\n", ",")
@example(b"a\r", ",")
def test_any_bytes_can_be_scanned_and_every_line_is_accounted_for(data: bytes, mark: str) -> None:
    text = data.decode("utf-8", "replace").encode()
    scanned = scan(text, mark)
    if not scanned.header:
        return
    assert len(list(records(scanned, mark))) == len(scanned.rows)
    at_fault = [
        line
        for code, lines in scanned.faults
        if code != "rows-in-quotes"
        for line in lines.tolist()
    ]
    starts = [line for line, _ in scanned.spanning]
    seen = [*scanned.rows.tolist(), *at_fault, *starts]
    assert len(seen) == len(set(seen))
    for fields in (*records(scanned, mark), *(f for _, f in scanned.spanning)):
        assert len(fields) == len(scanned.header)


def test_an_open_quote_costs_its_own_line() -> None:
    scanned = scan(b'p,v,n\na,1,"open\nb,2,"shut"\nc,3,\n', ",")
    assert cells(scanned) == [(3, ("b", "2", "shut")), (4, ("c", "3", ""))]
    assert [(code, lines.tolist()) for code, lines in scanned.faults] == [("quote-open", [2])]


def test_a_record_over_several_lines_of_the_wrong_width_costs_its_first_line_only() -> None:
    scanned = scan(b'p,v,n\na,"1\nb,2,stray"\nc,3,\n', ",")
    assert cells(scanned) == [(4, ("c", "3", ""))]
    assert [(code, lines.tolist()) for code, lines in scanned.faults] == [("quote-open", [2, 3])]


def test_a_note_over_several_lines_is_one_record_at_its_first_line() -> None:
    scanned = scan(b'p,v,n\na,1,"one\n\ntwo, ""three""\n"\nb,2,x\n', ",")
    assert cells(scanned) == [(2, ("a", "1", 'one\n\ntwo, "three"\n')), (6, ("b", "2", "x"))]


def test_a_damaged_line_within_a_note_costs_the_lines_of_the_note() -> None:
    scanned = scan(b'p,v,n\na,1,"one\n\x00\n"\nb,2,x\n', ",")
    assert cells(scanned) == [(5, ("b", "2", "x"))]
    faults = {code: lines.tolist() for code, lines in scanned.faults}
    assert faults == {"nul-byte": [3], "quote-open": [2, 4]}


def test_a_quote_closed_by_another_s_stray_one_is_pointed_out() -> None:
    scanned = scan(b'p,v,n\na,1,"open\nb,2,stray"\nc,3,\n', ",")
    assert cells(scanned) == [(2, ("a", "1", "open\nb,2,stray")), (4, ("c", "3", ""))]
    assert [(code, lines.tolist()) for code, lines in scanned.faults] == [("rows-in-quotes", [2])]


def test_the_slow_path_takes_over_where_the_fast_one_disagrees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scanned = scan(b'a,b\n1,"2"\n\n3,\n', ",")
    fast = frame_of(scanned, ",", {"x": 1, "y": 0})
    monkeypatch.setattr(pl, "read_csv", lambda *_, **__: pl.DataFrame({"only": ["1"]}))
    assert frame_of(scanned, ",", {"x": 1, "y": 0}).equals(fast)
    assert fast.rows() == [(2, "2", "1"), (4, None, "3")]
