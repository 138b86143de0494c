"""`answer_of`: an `Answer` from the JSON that `Answer.to_json` made of it.

Whoever reads results reads them here: the research team's server, and a clinic to which they came
back. Arrays that questions released are not in JSON: `Answer.released` comes back empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter

from cairn_models.answers import (
    Answer,
    Bars,
    Course,
    Estimate,
    Figure,
    Forest,
    Funnel,
    Histogram,
    Table,
)

T = TypeVar("T")


def answer_of(document: Mapping[str, Any]) -> Answer:
    """The answer in `document`.

    Raises:
        KeyError: a part is missing, or a figure of a kind that this version does not know.
        ValidationError, TypeError: a part is of another type.
    """
    return Answer(
        question=checked(str, document["question"]),
        kind=checked(str, document["kind"]),
        title=checked(str, document["title"]),
        sentences=checked(tuple[str, ...], document["sentences"]),
        estimates=checked(tuple[Estimate, ...], document["estimates"]),
        tables=checked(tuple[Table, ...], document["tables"]),
        figures=tuple(_figure(f) for f in document["figures"]),
        notes=checked(tuple[str, ...], document["notes"]),
    )


def checked(kind: type[T], value: Any) -> T:
    """`value` as a `kind`.

    Raises:
        ValidationError: it is none.
    """
    return TypeAdapter(kind).validate_python(value)


def _figure(document: dict[str, Any]) -> Figure:
    document = document | {
        part: _ordered(document[part], document.get("order", ()))
        for part in ("series", "at_risk")
        if part in document
    }
    match document["figure"]:
        case "forest":
            return checked(Forest, document)
        case "bars":
            return checked(Bars, document)
        case "histogram":
            return checked(Histogram, document)
        case "funnel":
            return checked(Funnel, document)
        case "course":
            gaps = {
                group: {k: [math.nan if x is None else x for x in v] for k, v in lines.items()}
                for group, lines in document["series"].items()
            }
            return checked(Course, {**document, "series": gaps})
        case _:
            raise KeyError("a kind of figure that this version knows")


def _ordered(series: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """`series` as the question had them; the file sorts its keys."""
    return {k: series[k] for k in (*(n for n in order if n in series), *series)}
