"""`Answer`: what a question gives back to the research team, ready for JSON and for the report.

Numbers come with their interval and with the share of their variance that is privacy noise.
Figures are data, not pictures: the server draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Cell = str | float | int | None


@dataclass(frozen=True)
class Estimate:
    """One number with its 95 % interval. Suppressed numbers have value None and a reason.

    `noise_share` is the part of the standard error's variance that the privacy noise adds, 0 to 1.
    `count` is the noised number of patients behind it (the smallest of its groups'); None where
    nothing was noised.
    """

    name: str
    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    noise_share: float | None = None
    unit: str = ""
    suppressed: str = ""
    count: float | None = None


@dataclass(frozen=True)
class Table:
    """A small table; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Forest:
    """Contrasts with intervals around a line of no difference."""

    title: str
    x_label: str
    estimates: tuple[Estimate, ...]
    no_difference: float = 0.0
    better: Literal["left", "right", ""] = ""


@dataclass(frozen=True)
class Course:
    """Lines over time, one a group, each with a band.

    `times` (T,); each series maps a group to (T,) arrays 'middle', 'low', 'high'.
    """

    title: str
    x_label: str
    y_label: str
    times: tuple[float, ...]
    series: Mapping[str, Mapping[str, tuple[float, ...]]]
    band: str = ""
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bars:
    """Grouped values with intervals, e.g. error by horizon for several predictors."""

    title: str
    x_label: str
    y_label: str
    groups: tuple[str, ...]
    series: Mapping[str, tuple[Estimate, ...]]  # one estimate a group


Figure = Forest | Course | Bars


@dataclass(frozen=True)
class Answer:
    """A question's answer. `released` holds arrays that later questions may build on."""

    question: str
    kind: str
    title: str
    sentences: tuple[str, ...]
    estimates: tuple[Estimate, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    released: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `released` arrays are named with their shapes, not printed."""
        document = asdict(self)
        document["released"] = {k: {"shape": list(np.shape(v))} for k, v in self.released.items()}
        for written, figure in zip(document["figures"], self.figures, strict=True):
            written["figure"] = type(figure).__name__.lower()
        return document
