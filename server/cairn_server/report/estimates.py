"""`estimates.csv`: one row a number, tidy, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Final

from cairn_models.answers import Answer, Estimate, Forest
from cairn_server.points import points
from cairn_server.results import StudyResults

COLUMNS: Final = (
    "synthetic",
    "question",
    "kind",
    "shown_in",
    "series",
    "at",
    "name",
    "label",
    "value",
    "low",
    "high",
    "standard_error",
    "noise_share",
    "count",
    "unit",
    "suppressed",
)
Row = dict[str, str | float | None]


def dump_csv(results: StudyResults) -> bytes:
    """The file's bytes, UTF-8, header first; numbers in full precision, missing ones empty."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    answers = (*results.answers, *((results.oracle,) if results.oracle else ()))
    for answer in answers:
        for row in _rows(answer):
            shared: Row = {
                "synthetic": "yes" if results.is_synthetic else "no",
                "question": answer.question,
                "kind": answer.kind,
            }
            writer.writerow({k: _safe(v) for k, v in (shared | row).items()})
    return out.getvalue().encode()


def _rows(answer: Answer) -> Iterator[Row]:
    named = {e.name for e in answer.estimates}
    for e in answer.estimates:
        yield {"shown_in": "estimates", **_numbers(e)}
    for figure in answer.figures:
        for point in points(figure):
            if isinstance(figure, Forest) and point.estimate.name in named:
                continue  # it stands above, and a forest says no more of it
            where: Row = {"shown_in": figure.title, "series": point.series, "at": point.at}
            yield where | _numbers(point.estimate)


def _numbers(e: Estimate) -> Row:
    return {
        "name": e.name,
        "label": e.label,
        "value": e.value,
        "low": e.low,
        "high": e.high,
        "standard_error": e.standard_error,
        "noise_share": e.noise_share,
        "count": e.count,
        "unit": e.unit,
        "suppressed": e.suppressed,
    }


def _safe(value: str | float | None) -> str | float:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    return float(value) if math.isfinite(value) else ""
