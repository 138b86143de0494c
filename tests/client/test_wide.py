"""Tables with a column for each questionnaire, item or visit: proposed by their names, and read."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_client.readers import Import, read_clinic
from cairn_client.readers.proposing.proposal import Proposal, propose
from cairn_protocol.errors import InputError

ENTRY = date(2024, 1, 8)
MAPPING = """\
cairn = 1
[scores]
file = "wide.csv"
patient = "id"
{time}
[scores.wide]
{columns}
[patients]
file = "wide.csv"
patient = "id"
entry = "entry"
"""


def write(folder: Path, header: str, *rows: str, name: str = "wide.csv") -> Path:
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def accept(folder: Path) -> tuple[Proposal, Import]:
    proposal = propose(folder)
    (folder / "mapping.toml").write_text(proposal.text, encoding="utf-8")
    return proposal, read_clinic(folder)


def scores(read: Import) -> list[tuple[object, ...]]:
    return read.records.scores.select("patient", "time", "instrument", "value").rows()


# The reader


@pytest.mark.parametrize(
    ("time", "columns", "cells"),
    [
        ('week = "w"', '"a" = "PHQ-9"\n"b" = "GAD-7"', "4,12,7,,"),
        ('date = "d"', '"a" = "PHQ-9"\n"b" = "GAD-7"', ",12,7,2024-02-05,"),
        (
            "",
            '"a" = { instrument = "PHQ-9", week = 4 }\n"b" = { instrument = "GAD-7", week = 4 }',
            ",12,7,,",
        ),
        (
            "",
            '"a" = { instrument = "PHQ-9", date = "d" }\n'
            '"b" = { instrument = "GAD-7", date = "e" }',
            ",12,7,2024-02-05,2024-02-05",
        ),
    ],
)
def test_four_ways_to_say_when(tmp_path: Path, time: str, columns: str, cells: str) -> None:
    write(tmp_path, "id,entry,w,a,b,d,e", f"p1,{ENTRY},{cells}")
    (tmp_path / "mapping.toml").write_text(MAPPING.format(time=time, columns=columns))
    read = read_clinic(tmp_path)
    assert read.findings == ()
    assert scores(read) == [("p1", 4.0, "GAD-7", 7.0), ("p1", 4.0, "PHQ-9", 12.0)]


def test_an_empty_cell_is_no_score_and_a_fault_names_its_own_column(tmp_path: Path) -> None:
    columns = "\n".join(f'"{c}" = {{ instrument = "PHQ-9", week = {w} }}'
                        for c, w in (("first", 0), ("later", 8), ("last", 12)))  # fmt: skip
    write(tmp_path, "id,entry,first,later,last", f"p1,{ENTRY},9,,99", f"p2,{ENTRY},,x,3")
    (tmp_path / "mapping.toml").write_text(MAPPING.format(time="", columns=columns))
    read = read_clinic(tmp_path)
    assert scores(read) == [("p1", 0.0, "PHQ-9", 9.0), ("p2", 12.0, "PHQ-9", 3.0)]
    assert {(f.row, f.column, f.code) for f in read.findings} == {
        (2, "last", "score-out-of-range"),
        (3, "later", "number-unreadable"),
    }


def test_items_side_by_side_make_totals_and_a_stated_total_is_compared(tmp_path: Path) -> None:
    items = [f"g{i}" for i in range(1, 8)]
    columns = "\n".join([f'"g{i}" = "GAD-7/{i}"' for i in range(1, 8)] + ['"sum" = "GAD-7"'])
    header = ",".join(["id,entry,w", *items, "sum"])
    rows = [
        f"p1,{ENTRY},0,1,1,1,1,1,1,1,7",
        f"p2,{ENTRY},0,2,1,1,1,1,1,1,9",
        f"p3,{ENTRY},0,2,1,,,,,,",
    ]
    write(tmp_path, header, *rows)
    (tmp_path / "mapping.toml").write_text(MAPPING.format(time='week = "w"', columns=columns))
    read = read_clinic(tmp_path)
    assert scores(read) == [("p1", 0.0, "GAD-7", 7.0), ("p2", 0.0, "GAD-7", 8.0)]
    assert read.counts == {"items-incomplete": 1, "total-disagrees": 1}
    assert "g1" not in read.records.scores.columns


@pytest.mark.parametrize(
    ("time", "columns", "why"),
    [
        ('week = "w"', '"a" = { instrument = "PHQ-9", week = 4 }', "exactly one"),
        ("", '"a" = "PHQ-9"', "exactly one"),
        ("", '"a" = { instrument = "PHQ-9", week = 4 }\n"b" = { instrument = "GAD-7", date = "d" }',
         "every column"),
        ('week = "w"\nvalue = "a"', '"a" = "PHQ-9"', "none of value"),
    ],
)  # fmt: skip
def test_a_mapping_that_contradicts_itself_is_refused(
    tmp_path: Path, time: str, columns: str, why: str
) -> None:
    write(tmp_path, "id,entry,w,a,b,d", f"p1,{ENTRY},0,1,2,2024-02-05")
    (tmp_path / "mapping.toml").write_text(MAPPING.format(time=time, columns=columns))
    with pytest.raises(InputError) as told:
        read_clinic(tmp_path)
    assert why in str(told.value)


# The proposal

INSTRUMENTS = {"PHQ-9": ["phq9", "PHQ-9", "PHQ_9 Summe"], "GAD-7": ["gad7", "GAD 7", "GAD7Total"]}
VISITS = {
    "week": ["{name}_week{w}", "{name} Woche {w}", "{name}_w{w}", "{w}wk {name}"],
    "date": ["{name}_t{i}", "{name} visit {i}", "T{i} {name}"],
}
DATES = {
    "{name}_t{i}": "datum_t{i}",
    "{name} visit {i}": "visit {i} date",
    "T{i} {name}": "T{i}_Datum",
}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_odd_names_import_unedited(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Scores drawn at random, written side by side under drawn names, are read as they were."""
    folder = tmp_path_factory.mktemp("wide")
    kind = data.draw(st.sampled_from(["week", "date"]))
    style = data.draw(st.sampled_from(VISITS[kind]))
    words = {n: data.draw(st.sampled_from(ways)) for n, ways in INSTRUMENTS.items()}
    weeks = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=3, unique=True))
    visits = [0, *sorted(weeks)]
    header = ["Pat-Nr", data.draw(st.sampled_from(["Aufnahmedatum", "entry", "referral date"]))]
    for i, w in enumerate(visits):
        header += [style.format(name=word, w=w, i=i + 1) for word in words.values()]
        if kind == "date":
            header.append(DATES[style].format(i=i + 1))
    truth, rows = [], []
    for patient in range(12):
        row = [f"k{patient:02}", str(ENTRY)]
        for w in visits:
            for name in words:
                value = data.draw(st.none() | st.integers(0, 21))
                row.append("" if value is None else str(value))
                if value is not None:
                    truth.append((f"k{patient:02}", float(w), name, float(value)))
            if kind == "date":
                row.append(str(ENTRY + timedelta(weeks=w)))
        rows.append(",".join(row))
    filled = {name for _, _, name, _ in truth}
    if len(filled) < 2:  # a column without a number says nothing of itself
        return
    write(folder, ",".join(header), *rows)
    proposal, read = accept(folder)
    empty = [h for i, h in enumerate(header) if not any(r.split(",")[i] for r in rows)]
    if not empty:
        assert read.findings == ()
        assert sorted(scores(read)) == sorted(truth)
        assert read.records.patients.height == 12
    assert "k00" not in proposal.text


def test_a_row_a_visit_and_a_file_of_patients(tmp_path: Path) -> None:
    day = ENTRY + timedelta(weeks=4)
    items = ",".join(f"gad7_{i}" for i in range(1, 8))
    rows = (f"p{i},{day},{i},1,1,1,1,1,1,{i % 3}" for i in range(12))
    write(tmp_path, f"client,date,PHQ9,{items}", *rows, name="visits.csv")
    write(tmp_path, "client,entry", *(f"p{i},{ENTRY}" for i in range(12)), name="people.csv")
    proposal, read = accept(tmp_path)
    assert 'PHQ9 = "PHQ-9"' in proposal.text
    assert 'gad7_7 = "GAD-7/7"' in proposal.text
    assert read.findings == ()
    expected = {(f"p{i}", 4.0, "GAD-7", 6.0 + i % 3) for i in range(12)}
    assert {row for row in scores(read) if row[2] == "GAD-7"} == expected
    assert read.records.scores.height == 24


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("id,entry,phq9_1,phq9_2", "may be an item or a visit"),
        ("id,entry,phq9_t1,phq9_t2", "how many weeks"),
        ("id,entry,PHQ9,GAD7", "no column says when"),
    ],
)
def test_names_that_do_not_say_when_are_refused_with_what_to_do(
    tmp_path: Path, header: str, why: str
) -> None:
    with pytest.raises(InputError) as told:
        propose(write(tmp_path, header, *(f"p{i},{ENTRY},{i},{i}" for i in range(9))))
    assert told.value.code == "input.table-wide"
    assert why in told.value.why
    assert "phq9_week4" in told.value.hint


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (("PHQ9_W1", "PHQ9_W2", "PHQ9_M3"), True),  # waves, and the third measurement
        (("phq9_week1", "phq9_2wk", "phq9_month3"), False),
    ],
)
def test_a_letter_alone_may_count_waves(
    tmp_path: Path, names: tuple[str, ...], asked: bool
) -> None:
    rows = (f"p{i},{ENTRY},{i},{i},{i}" for i in range(9))
    proposal = propose(write(tmp_path, f"id,entry,{','.join(names)}", *rows))
    assert any("not the fourth or third visit" in check for check in proposal.checks) == asked


def test_scores_out_of_range_are_said_without_values(tmp_path: Path) -> None:
    rows = (f"p{i},{ENTRY},{i},{9977 if i == 3 else i}" for i in range(9))
    proposal = propose(write(tmp_path, "id,entry,phq9_w0,phq9_w4", *rows))
    assert any("outside the range of PHQ-9" in check for check in proposal.checks)
    assert "9977" not in proposal.text
