"""The page: self-contained, safe against hostile names, readable without sight or colour."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cairn_models.answers import Table
from cairn_server.report import tables
from cairn_server.report.page import lay_out, render_page
from cairn_server.report.wording import in_words
from cairn_server.results import Spend, StudyResults, TotalSpend

VOID = {"meta", "br", "img", "input", "link", "hr"}
Attributes = dict[str, str | None]


class Outline(HTMLParser):
    """Start tags in order with their attributes; checks that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Attributes]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "pre"} & set(self.open):
            self.text.append(data)


@pytest.fixture(scope="module")
def html(results: StudyResults) -> str:
    return render_page(lay_out(results), "0" * 64)


@pytest.fixture(scope="module")
def awkward_html(awkward: StudyResults) -> str:
    return render_page(lay_out(awkward), "0" * 64)


@pytest.fixture(scope="module", params=["html", "awkward_html"])
def either(request: pytest.FixtureRequest) -> str:
    page: str = request.getfixturevalue(request.param)
    return page


def test_nothing_is_loaded_from_elsewhere(either: str) -> None:
    assert "//" not in re.sub(r"</?script>", "", either).replace("<!DOCTYPE html>", "")
    assert "@import" not in either
    for tag, attributes in Outline(either).tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
                assert value is not None
                assert value.startswith("#")
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", either))
    assert "default-src 'none'" in either


def test_every_link_and_reference_has_its_target_and_ids_are_unique(either: str) -> None:
    tags = Outline(either).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, a in tags:
        if "href" in a:
            assert (a["href"] or "").removeprefix("#") in ids
        for reference in (a.get("aria-labelledby") or "").split():
            assert reference in ids
    assert set(re.findall(r"url\(#([^)]*)\)", either)) <= set(ids)


def test_hostile_names_are_text(awkward_html: str) -> None:
    assert "<script" not in awkward_html
    assert "&lt;script&gt;" in awkward_html
    assert "onerror" not in awkward_html


def test_no_number_that_is_none_shows(either: str) -> None:
    shown = " ".join(Outline(either).text)
    assert not re.search(r"\b(nan|NaN|None|inf|Undefined)\b", shown)


def test_every_figure_has_its_table_directly_beneath(either: str) -> None:
    figures = re.findall(r"<figure\b.*?</figure>", either, flags=re.DOTALL)
    assert figures
    for figure in figures:
        _, _, beneath = figure.rpartition("</svg>")
        assert "<details open>" in beneath
        assert "<caption" in beneath
        assert figure.count("<svg") == 2  # wide and narrow
        assert figure.count('role="img"') == 2
        assert figure.count("<desc") == 2


def test_headings_are_in_order_and_landmarks_are_there(either: str) -> None:
    tags = Outline(either).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    names = [tag for tag, _ in tags]
    for landmark in ("header", "nav", "main", "footer"):
        assert names.count(landmark) == 1
    first_link = next(a for tag, a in tags if tag == "a")
    assert first_link["href"] == "#main"
    assert dict(tags)["html"]["lang"] == "en"


def test_tables_have_captions_and_scopes(either: str) -> None:
    tags = Outline(either).tags
    names = [tag for tag, _ in tags]
    assert names.count("table") == names.count("caption")
    assert all(a.get("scope") in {"row", "col"} for tag, a in tags if tag == "th")


def test_the_synthetic_banner_stands_exactly_when_the_data_are_synthetic(
    html: str, make_results: Callable[..., StudyResults]
) -> None:
    assert 'class="banner"' in html
    assert "SYNTHETIC DATA" in html
    assert html.count("only possible because the data are synthetic") == 1
    assert "<title>Synthetic data:" in html
    real = render_page(lay_out(make_results(synthetic=False)), "0" * 64)
    assert "synthetic" not in " ".join(Outline(real).text).lower()
    assert 'class="banner"' not in real
    assert 'class="tag"' not in real


def test_limits_are_said(either: str) -> None:
    for limit in ("Research use only", "Not externally audited", "Not a medical device"):
        assert limit in either


def test_suppressed_numbers_say_so_and_why(html: str) -> None:
    assert "Suppressed: fewer than 10 patients." in html
    assert re.search(r'<td class="n muted">suppressed</td>', html)


def test_numbers_stand_with_interval_and_noise_share(html: str) -> None:
    row = re.search(r"<tr>\s*<th[^>]*>guided programme against waiting.*?</tr>", html, re.DOTALL)
    assert row
    for part in ("−2.35", "−3.15 to −1.54", "0.41", "31 %"):
        assert part in row[0]


def test_spending_shows_each_question_and_the_whole(html: str) -> None:
    spent = html[html.index('id="spent"') : html.index('id="who"')]
    for part in ("0.98 of 1.00 spent", "1.97", "17.65", "2.30", "10⁻⁶", "86 times in 100"):
        assert part in spent


def test_public_data_show_no_budget(results: StudyResults) -> None:
    free = tuple(
        replace(q, epsilon=None, delta=None, rho=None, sigma=None, noise="none")
        for q in results.spend.questions
    )
    exact = replace(results.answers[0], sentences=(), notes=(), figures=(), estimates=())
    public = replace(
        results,
        answers=(exact,),
        spend=Spend(free, TotalSpend(None, None, None)),
        statement=(),
    )
    html = render_page(lay_out(public), "0" * 64)
    assert "no noise was added and no budget was charged" in html
    assert "None" not in html
    assert "privacy noise" not in html


def test_the_study_file_and_digests_are_on_the_page(html: str, results: StudyResults) -> None:
    assert results.study.digest.hex() in html
    assert "planned_patients = 3000" in html
    assert "0" * 64 in html


def test_no_clinic_has_a_size(html: str) -> None:
    who = html[html.index('id="who"') : html.index('id="how"')]
    assert "Clinic A" in who
    assert not re.search(r"<td[^>]*>\d+</td>", who)


def test_arms_show_in_words_and_files_keep_their_names(results: StudyResults, html: str) -> None:
    shown = " ".join(Outline(html).text)
    assert "dmhi_guided" not in shown
    answer = in_words(results.answers[0], results.study.cohort.arms)
    assert answer.estimates[1].label == "guided programme against waiting"
    assert answer.estimates[1].value == results.answers[0].estimates[1].value
    assert answer.question == results.answers[0].question


def test_an_arm_within_a_longer_name_is_left_alone(results: StudyResults) -> None:
    answer = replace(results.answers[0], sentences=("my_dmhi_guided_2 and dmhi_guided.",))
    assert in_words(answer, ("dmhi_guided",)).sentences == (
        "my_dmhi_guided_2 and guided programme.",
    )


def test_a_courses_own_table_stands_beneath_it(results: StudyResults) -> None:
    course = results.answers[1].figures[0]
    own = Table(
        course.title, ("arm", "n", "x", "why"), (("a", 1200, 1.0, ""), ("b", None, 2.5, ""))
    )
    answer = replace(results.answers[1], tables=(own,))
    shown = tables.beneath(answer, course)
    assert shown.columns == ("arm", "n", "x")  # a column without content is left out
    assert [c.text for c in shown.rows[0]] == ["a", "1\u202f200", "1.0"]
    assert not list(tables.others(answer))


def test_estimates_keep_their_noise_shares_beside_an_own_table(results: StudyResults) -> None:
    forest = results.answers[0].figures[0]
    own = Table(forest.title, ("arm",), (("a",),))
    answer = replace(results.answers[0], tables=(own,))
    assert "noise share" in tables.beneath(answer, forest).columns
    assert forest.title in [t.title for t in tables.others(answer)]
