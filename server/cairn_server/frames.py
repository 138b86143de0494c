"""A study's numbers as pandas data frames: `estimates`, `tables`, `figures_data`.

Tidy: one row a number, numbers as floats with NaN where there is none, and never a number where
`suppressed` says why it is held back. `synthetic` is True in every row of made-up records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

import pandas as pd

from cairn_models.answers import Answer, Estimate
from cairn_server.points import Point, estimates_in, points
from cairn_server.results import StudyResults

NUMBERS: Final = ("value", "low", "high", "standard_error", "noise_share", "count")
ESTIMATE: Final = ("name", "label", *NUMBERS, "unit", "suppressed")
ESTIMATES: Final = ("question", *ESTIMATE, "kind", "synthetic")
FIGURES: Final = ("question", "figure", "drawn_as", "series", "at", *ESTIMATE, "kind", "synthetic")
Row = Mapping[str, Any]


def estimates(results: StudyResults) -> pd.DataFrame:
    """Columns `ESTIMATES`: every estimate of every answer once, also those only figures show."""
    rows = (
        _of(results, answer) | asdict(estimate)
        for answer in _answers(results)
        for estimate in _once(answer)
    )
    return _frame(rows, ESTIMATES)


def tables(results: StudyResults) -> dict[tuple[str, str], pd.DataFrame]:
    """The answers' tables by (question, title); `attrs` holds each one's note and `synthetic`.

    A title that a question uses again gets a number: 'By arm (2)'.
    """
    found: dict[tuple[str, str], pd.DataFrame] = {}
    for answer in _answers(results):
        seen: dict[str, int] = {}
        for table in answer.tables:
            seen[table.title] = seen.get(table.title, 0) + 1
            again = f" ({seen[table.title]})" if seen[table.title] > 1 else ""
            frame = pd.DataFrame(list(table.rows), columns=list(table.columns))
            frame.attrs |= {"note": table.note, "synthetic": results.is_synthetic}
            found[answer.question, table.title + again] = frame
    return found


def figures_data(results: StudyResults) -> pd.DataFrame:
    """Columns `FIGURES`: what each figure draws, in its order.

    `drawn_as` is 'forest', 'course', 'bars', 'histogram' or 'funnel'; `series` names the line or
    the group, `at` is a course's time, a bar's group, a histogram's bin or a funnel's stage. The
    `count` of a course's point is the number at risk.
    """
    rows = (
        _of(results, answer)
        | {"figure": figure.title, "drawn_as": type(figure).__name__.lower()}
        | _point(point)
        for answer in _answers(results)
        for figure in answer.figures
        for point in points(figure)
    )
    return _frame(rows, FIGURES)


def _answers(results: StudyResults) -> tuple[Answer, ...]:
    return (*results.answers, *((results.oracle,) if results.oracle else ()))


def _of(results: StudyResults, answer: Answer) -> dict[str, Any]:
    return {
        "question": answer.question,
        "kind": answer.kind,
        "synthetic": results.is_synthetic,
    }


def _once(answer: Answer) -> Iterable[Estimate]:
    """Its estimates, then those that figures alone show; one a name."""
    found = {e.name: e for e in answer.estimates}
    for figure in answer.figures:
        for e in estimates_in(figure):
            found.setdefault(e.name, e)
    return found.values()


def _point(point: Point) -> dict[str, Any]:
    return {"series": point.series, "at": point.at} | asdict(point.estimate)


def _frame(rows: Iterable[Row], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame.from_records(list(rows), columns=list(columns))
    words = [c for c in columns if c not in {*NUMBERS, "at", "synthetic"}]
    frame[words] = frame[words].fillna("").astype(str)
    return frame.astype(dict.fromkeys(NUMBERS, float))
