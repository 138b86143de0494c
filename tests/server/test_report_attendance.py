"""Which clinics are in which sums: the words, the file, the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_server.journal import Incident
from cairn_server.report import load_results, write_results
from cairn_server.report.attendance import in_sums, spans
from cairn_server.results import Absence, QuestionSums, StudyResults

ONE = QuestionSums("effect", 1, 5, 4, 4, (Absence("elm", (1,)),))
MANY = QuestionSums("course", 40, 5, 3, 5, (Absence("elm", (2, 3, 4, 7)), Absence("oak", (7,))))
FULL = QuestionSums("error", 2, 5, 5, 5)
LEFT = Incident("left", "elm", "this clinic has not approved the study")
BLAMED = Incident("blamed", "oak", "a share that it dealt was <wrong>")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((1,), "1"),
        ((1, 2), "1 to 2"),
        ((1, 3), "1 and 3"),
        ((1, 2, 3, 5, 7, 8), "1 to 3, 5 and 7 to 8"),
    ],
)
def test_rounds_are_told_in_spans(numbers: tuple[int, ...], text: str) -> None:
    assert spans(numbers) == text


@given(st.sets(st.integers(1, 60), min_size=1))
def test_spans_name_every_round_and_no_other(numbers: set[int]) -> None:
    named: set[int] = set()
    for part in spans(sorted(numbers)).replace(" and ", ", ").split(", "):
        first, _, last = part.partition(" to ")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == numbers


@pytest.mark.parametrize(
    ("sums", "text"), [(ONE, "4 of 5"), (MANY, "3 to 5 of 5"), (FULL, "5 of 5")]
)
def test_the_number_of_clinics_in_words(sums: QuestionSums, text: str) -> None:
    assert in_sums(sums) == text


def test_a_question_that_always_lacked_one_has_one_number() -> None:
    always = QuestionSums("course", 3, 5, 4, 4, (Absence("elm", (1,)), Absence("oak", (2, 3))))
    assert in_sums(always) == "4 of 5"


def test_page_and_file_say_who_is_missing_and_who_left(
    results: StudyResults, tmp_path: Path
) -> None:
    whole = results
    sums = tuple(replace(MANY, name=a.question) for a in whole.answers[:1])
    with_loss = replace(whole, sums=sums, incidents=(LEFT, BLAMED))
    paths = write_results(with_loss, tmp_path)
    page = paths.report.read_text()
    missing = "Missing: elm (rounds 2 to 4 and 7 of 40); oak (round 7 of 40)."
    assert f"Over 3 to 5 of 5 clinics. {missing}" in page
    assert "elm</strong> left the study before its end: this clinic has not approved" in page
    assert "oak</strong> may be broken or dishonest: a share that it dealt was &lt;wrong" in page
    read = load_results(paths.results)
    assert (read.sums, read.incidents) == (with_loss.sums, with_loss.incidents)


def test_a_page_where_nobody_was_missing_does_not_speak_of_it(
    results: StudyResults, tmp_path: Path
) -> None:
    page = write_results(results, tmp_path).report.read_text()
    assert "Missing:" not in page
    assert "left the study" not in page


def test_results_that_an_earlier_version_wrote_are_read(
    results: StudyResults, tmp_path: Path
) -> None:
    paths = write_results(results, tmp_path)
    document = json.loads(paths.results.read_text())
    del document["sums"], document["incidents"]
    paths.results.write_text(json.dumps(document))
    assert load_results(paths.results).sums == ()
