"""Totals made from items: summed, pro-rated where that is allowed, never shown one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_client.readers import Import, read_clinic
from cairn_client.readers.scales import ITEM_SCALES, LOINC_ITEMS
from cairn_models.measures import INSTRUMENTS
from clinic_files import MAPPING, SCORES, said, write_folder

HEAD = SCORES.splitlines()[0] + "\n"
PRORATE = MAPPING.replace('item = "item"', 'item = "item"\nprorate = true')


def rows(instrument: str, answers: dict[str, int], total: str = "", week: int = 3) -> str:
    lines = [f"zq1,{week},{instrument},{value},{item},\n" for item, value in answers.items()]
    return "".join(lines) + (f"zq1,{week},{instrument},{total},,\n" if total else "")


def read(folder: Path, text: str, mapping: str = MAPPING) -> Import:
    return read_clinic(write_folder(folder, mapping, scores=HEAD + text))


def scores(imported: Import) -> list[tuple[str, float]]:
    return imported.records.scores.select("instrument", "value").rows()


def test_every_scale_sums_to_its_instrument_s_range() -> None:
    for name, scale in ITEM_SCALES.items():
        assert INSTRUMENTS[name].lowest == 0
        assert INSTRUMENTS[name].highest == scale.items * scale.highest


@pytest.mark.parametrize("name", sorted(ITEM_SCALES))
def test_a_complete_questionnaire_is_summed(name: str, tmp_path: Path) -> None:
    scale = ITEM_SCALES[name]
    answers = {str(i): i % (scale.highest + 1) for i in range(1, scale.items + 1)}
    imported = read(tmp_path, rows(name, answers))
    assert imported.findings == ()
    assert scores(imported) == [(name, float(sum(answers.values())))]
    assert imported.tallies["totals made from items"] == 1


@pytest.mark.parametrize("name", sorted(LOINC_ITEMS))
def test_items_may_be_named_by_their_loinc_codes(name: str, tmp_path: Path) -> None:
    assert len(LOINC_ITEMS[name]) == ITEM_SCALES[name].items
    imported = read(tmp_path, rows(name, dict.fromkeys(LOINC_ITEMS[name], 2)))
    assert scores(imported) == [(name, 2.0 * ITEM_SCALES[name].items)]


def test_items_may_be_named_by_the_clinic(tmp_path: Path) -> None:
    names = {f"gad_{letter}": i for i, letter in enumerate("abcdefg", 1)}
    table = "".join(f"{name} = {i}\n" for name, i in names.items())
    mapping = MAPPING.replace("[patients]\n", f"[scores.items]\n{table}[patients]\n")
    assert scores(read(tmp_path, rows("GAD-7", dict.fromkeys(names, 1)), mapping)) == [
        ("GAD-7", 7.0)
    ]


@pytest.mark.parametrize(
    ("name", "absent", "made"),
    [
        ("PHQ-9", (1,), True),
        ("PHQ-9", (1, 2), True),
        ("PHQ-9", (1, 2, 3), False),
        ("PHQ-9", (9,), False),
        ("PHQ-9", (1, 9), False),
        ("GAD-7", (7,), True),
        ("GAD-7", (6, 7), False),
        ("WSAS", (1,), False),
    ],
)
def test_pro_rating(name: str, absent: tuple[int, ...], made: bool, tmp_path: Path) -> None:
    items = ITEM_SCALES[name].items
    answers = {str(i): i % 3 for i in range(1, items + 1) if i not in absent}
    text = rows(name, answers)
    expected = sum(answers.values()) * items / len(answers)

    imported = read(tmp_path, text, PRORATE)
    assert scores(imported) == ([(name, pytest.approx(expected))] if made else [])
    assert imported.tallies.get("totals pro-rated", 0) == int(made)
    assert imported.counts == ({} if made else {"items-incomplete": 1})

    off = read(tmp_path, text)  # off unless the mapping turns it on
    assert scores(off) == []
    assert off.counts == {"items-incomplete": 1}


def test_the_sum_wins_over_the_clinic_s_total_and_says_so(tmp_path: Path) -> None:
    imported = read(tmp_path, rows("GAD-7", {str(i): 1 for i in range(1, 8)}, total="19"))
    assert scores(imported) == [("GAD-7", 7.0)]
    (finding,) = imported.findings
    assert (finding.code, finding.row, finding.quarantined) == ("total-disagrees", 9, False)
    assert "19" not in said(imported)


def test_an_agreeing_total_is_no_finding_and_no_second_score(tmp_path: Path) -> None:
    imported = read(tmp_path, rows("GAD-7", {str(i): 1 for i in range(1, 8)}, total="7"))
    assert imported.findings == ()
    assert scores(imported) == [("GAD-7", 7.0)]


def test_a_total_stands_in_for_items_that_are_missing(tmp_path: Path) -> None:
    imported = read(tmp_path, rows("GAD-7", {"1": 1, "2": 1}, total="9"))
    assert scores(imported) == [("GAD-7", 9.0)]
    assert imported.counts == {"total-without-items": 1}


def test_an_item_given_twice_counts_once(tmp_path: Path) -> None:
    text = rows("GAD-7", {str(i): 1 for i in range(1, 8)})
    imported = read(tmp_path, text + rows("GAD-7", {"3": 1, "4": 2}))
    assert scores(imported) == [("GAD-7", 7.0)]
    assert imported.counts == {"duplicate-row": 1, "value-twice": 1}


def test_item_nine_is_part_of_the_total_and_nothing_else(tmp_path: Path) -> None:
    imported = read(tmp_path, rows("PHQ-9", {str(i): 3 if i == 9 else 0 for i in range(1, 10)}))
    assert scores(imported) == [("PHQ-9", 3.0)]
    assert imported.records.scores.columns == ["patient", "time", "instrument", "value"]
    assert imported.records.patients.columns == ["patient", "arm", "entry", "sex", "age"]


@settings(max_examples=40, deadline=None)
@given(
    answers=st.lists(st.integers(0, 3), min_size=9, max_size=9),
    order=st.permutations(range(1, 10)),
)
def test_the_order_of_items_does_not_matter(
    answers: list[int], order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("clinic")
    text = rows("PHQ-9", {str(i): answers[i - 1] for i in order})
    assert scores(read(folder, text)) == [("PHQ-9", float(sum(answers)))]
