"""`Answer`: what a question gives back to the research team, ready for JSON and for the report.

Numbers come with their interval and with the share of their variance that is privacy noise.
Figures are data, not pictures: the server draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Cell = str | float | int | None
SHARE: Final = "share"
SHARE_GAP: Final = "difference in share"


@dataclass(frozen=True)
class Estimate:
    """One number with its 95 % interval. Suppressed numbers have value None and a reason.

    A row that is for tests of equivalence has its 90 % interval instead, and its label says so.
    `unit` may be `SHARE` or `SHARE_GAP`, of 1; readers are shown them of 100 (`percentages`).

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

    `times` (T,); each series maps a group to (T,) arrays 'middle', 'low', 'high', with NaN where a
    value is held back.

    Args:
        steps: a value holds until the next time, as in a Kaplan–Meier curve.
        at_risk: group → (T,) numbers of patients still at risk at `times`, printed beneath the
            axis; None where a number is held back. Groups need not be those of `series`. Where they
            are noised, `band` says so.
    """

    title: str
    x_label: str
    y_label: str
    times: tuple[float, ...]
    series: Mapping[str, Mapping[str, tuple[float, ...]]]
    band: str = ""
    y_range: tuple[float, float] | None = None
    steps: bool = False
    at_risk: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(len(row) != len(self.times) for row in self.at_risk.values()):
            raise ValueError("numbers at risk need one a time")


@dataclass(frozen=True)
class Bars:
    """Grouped values with intervals, e.g. error by horizon for several predictors."""

    title: str
    x_label: str
    y_label: str
    groups: tuple[str, ...]
    series: Mapping[str, tuple[Estimate, ...]]  # one estimate a group


@dataclass(frozen=True)
class Histogram:
    """How a quantity spreads: k bins between k + 1 rising `edges`, one panel a group.

    Each series maps a group to k estimates, the share or number in each bin; k + 1 where `beyond`
    names a last category that has no place on the axis, e.g. 'still waiting'.
    """

    title: str
    x_label: str
    y_label: str
    edges: tuple[float, ...]
    series: Mapping[str, tuple[Estimate, ...]]
    beyond: str = ""

    def __post_init__(self) -> None:
        if not all(a < b for a, b in pairwise(self.edges)):
            raise ValueError("the edges of a histogram must rise")
        if any(len(row) != len(self.bins) for row in self.series.values()):
            raise ValueError("a histogram needs one estimate a bin")

    @property
    def bins(self) -> tuple[str, ...]:
        """The bins in words, `beyond` last."""
        named = tuple(
            f"{low:g} to {high:g}".replace("-", "−") for low, high in pairwise(self.edges)
        )
        return (*named, self.beyond) if self.beyond else named


@dataclass(frozen=True)
class Funnel:
    """How many remain, stage by stage: each series maps a group to one share a stage, in per cent.

    Shares are of the group's patients at the first stage, so they fall, but for noise.
    """

    title: str
    stages: tuple[str, ...]
    series: Mapping[str, tuple[Estimate, ...]]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.stages) for row in self.series.values()):
            raise ValueError("a funnel needs one estimate a stage")


Figure = Forest | Course | Bars | Histogram | Funnel


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
            if not isinstance(figure, Forest):  # a file whose keys are sorted keeps no order
                written["order"] = list(figure.series)
        return document
