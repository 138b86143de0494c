"""`render_page`: one HTML file that explains itself, loads nothing and needs no script."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cairn_models.answers import Answer, Bars, Course, Figure
from cairn_models.percentages import in_per_cent
from cairn_models.questions.base import instrument_of
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from cairn_server.report import attendance, palette, tables, words
from cairn_server.report.figure_words import caption
from cairn_server.report.figures import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    Drawing,
    draw,
)
from cairn_server.report.results import ORACLE_LABEL
from cairn_server.report.spending import ShownSpend, shown_spend
from cairn_server.report.tables import ShownTable
from cairn_server.report.wording import arm_in_words, in_words
from cairn_server.results import StudyResults

if TYPE_CHECKING:
    from cairn_server.receipt import Receipt

KEPT_WHOLE: Final = re.compile(r"(\b[A-Z]{2,}-[0-9A-Z]+\b|\d %)")
TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class ShownFigure:
    """A drawn figure with its words and the table that stands beneath it."""

    key: str
    title: str
    caption: str
    drawing: Drawing
    table: ShownTable

    @property
    def wide(self) -> Markup:
        """The SVG for wide screens and paper; every text in it is escaped where it is drawn."""
        return Markup(self.drawing.wide)  # noqa: S704

    @property
    def narrow(self) -> Markup:
        """The SVG for narrow screens."""
        return Markup(self.drawing.narrow)  # noqa: S704


@dataclass(frozen=True)
class ShownAnswer:
    """A question's part of the page."""

    key: str
    answer: Answer
    figures: tuple[ShownFigure, ...]
    tables: tuple[ShownTable, ...]
    clinics: str  # where a clinic is missing from its sums: a sentence


@dataclass(frozen=True)
class Page:
    """A page's view of the results; figures are drawn once, for the page and for files."""

    results: StudyResults
    answers: tuple[ShownAnswer, ...]
    oracle: ShownAnswer | None
    spend: ShownSpend
    sums: tuple[attendance.ShownSums, ...]

    @property
    def figures(self) -> tuple[ShownFigure, ...]:
        """Every figure, in the page's order."""
        parts = (*self.answers, *((self.oracle,) if self.oracle else ()))
        return tuple(figure for part in parts for figure in part.figures)


def lay_out(results: StudyResults) -> Page:
    """The results in words and pictures."""
    return Page(
        results,
        tuple(_shown(a, results, f"q{i}") for i, a in enumerate(results.answers, 1)),
        _shown(results.oracle, results, "oracle") if results.oracle else None,
        shown_spend(results),
        attendance.shown_sums(results),
    )


def render_page(page: Page, results_digest: str, receipt: Receipt | None = None) -> str:
    """The page as HTML; `results_digest` is the SHA-256 of results.json, hex.

    Without a `receipt` it is a draft.
    """
    template = _environment().get_template("report.html.j2")
    html = template.render(
        page=page,
        results=page.results,
        study=page.results.study,
        run=page.results.run,
        policy=page.results.study.policy,
        words=words,
        oracle_label=ORACLE_LABEL,
        results_digest=results_digest,
        receipt=receipt,
        css=_css(),
    )
    return words.printable(html)


def _shown(answer: Answer, results: StudyResults, key: str) -> ShownAnswer:
    answer = in_per_cent(in_words(answer, results.study.cohort.arms))
    letters = results.blinding.letters if results.blinding and results.is_blinded else ()
    arms = letters or tuple(map(arm_in_words, results.study.cohort.arms))
    figures = tuple(
        ShownFigure(
            key=f"{key}-f{i}",
            title=figure.title,
            caption=caption(figure),
            drawing=draw(
                figure,
                key=f"{key}-f{i}",
                hint=_hint(figure, results.study),
                mark="synthetic data" if results.is_synthetic else "",
                arms=arms,
            ),
            table=tables.beneath(answer, figure),
        )
        for i, figure in enumerate(answer.figures, 1)
    )
    clinics = attendance.note(results, answer.question)
    return ShownAnswer(key, answer, figures, tuple(tables.others(answer)), clinics)


def _hint(figure: Figure, study: Study) -> str:
    """Which way is better: errors are better small, scores as their instrument says."""
    if isinstance(figure, Bars):
        said = f"{figure.title} {figure.y_label}".lower()
        return LOWER_IS_BETTER if "error" in said else ""
    if isinstance(figure, Course) and study.outcome.instrument in figure.y_label:
        try:
            instrument = instrument_of(study, study.outcome.instrument)
        except InputError:  # an instrument without a known direction gets no arrow
            return ""
        return HIGHER_IS_BETTER if instrument.higher_is_better else LOWER_IS_BETTER
    return ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    return environment


def _prose(text: str) -> Markup:
    """`text`, escaped, with names such as PHQ-9 and numbers such as 95 % kept on one line."""
    whole = KEPT_WHOLE.sub(r'<span class="nb">\1</span>', str(escape(text)))
    return Markup(whole)  # noqa: S704 - escaped in the line above


@cache
def _css() -> Markup:
    rules = (TEMPLATES / "report.css").read_text("utf-8")
    light, dark = (palette.css_variables(dark) for dark in (False, True))
    rules = rules.replace("/* light */", light).replace("/* dark */", dark)
    return Markup(rules)  # noqa: S704 - our own file
