"""`Plan`: the public facts of one regression, from the study and the question's settings alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.formula import TIME, Column, Design
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_models.regression.cells import NOWHERE, Cells
from cairn_models.regression.covariates import ARM, Array, Covariate, values_of

LARGEST_SUM: Final = 2.0**37  # of a public coordinate: 2⁵⁷ of the ring's 2⁶³ steps


@dataclass(frozen=True)
class Plan:
    """What every family needs to know.

    Args:
        outcome: the left side of the formula.
        design: its right side; `times` are the levels of `time` in it, if it is a hazard's.
        covariates: what the design uses, by name, `time` not among them.
        arms: the arms in question; patients of others are left out if the formula names the arm,
            or if `only_arms`.
        planned: patients in all clinics.
        noised: whether the data are patients'.
        fewest: disclosure's least number.
    """

    outcome: str
    design: Design
    covariates: Mapping[str, Covariate]
    times: tuple[str, ...]
    arms: tuple[str, ...]
    only_arms: bool
    instrument: Instrument
    baseline_window: tuple[float, float]
    planned: int
    noised: bool
    fewest: int

    @property
    def cells(self) -> Cells:
        """The table of categorical covariates."""
        return Cells(tuple((n, len(c.levels)) for n, c in self.covariates.items() if c.levels))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The covariates that are numbers."""
        return tuple(name for name, c in self.covariates.items() if not c.levels)

    @property
    def terms(self) -> tuple[tuple[str, ...], ...]:
        """The categorical variables that stand together in a column of the design, each once."""
        found = (
            tuple(name for name, level in column.parts if level is not None)
            for column in self.design.columns
        )
        return tuple(dict.fromkeys(term for term in found if term))

    @property
    def scored(self) -> int | None:
        """The place among `numbers` of the baseline score; None: it is none of them."""
        places = (k for k, name in enumerate(self.numbers) if self.covariates[name].of_scores)
        return next(places, None)

    def values(self, records: Records) -> dict[str, Array]:
        """Each patient's values, (N,) each, by covariate; see `values_of`."""
        weeks = records.times_in("week")
        return {
            name: values_of(c, weeks, self.instrument, self.baseline_window, self.arms)
            for name, c in self.covariates.items()
        }

    def admitted(self, records: Records) -> NDArray[np.bool_]:
        """(N,) who is in question, whatever their covariates."""
        people = records.patients.unique("patient", keep="first", maintain_order=True)
        if not self.only_arms:
            return np.ones(people.height, dtype=np.bool_)
        return np.array([arm in self.arms for arm in people["arm"].to_list()], dtype=np.bool_)

    def cell_of(self, records: Records, values: Mapping[str, Array]) -> NDArray[np.int64]:
        """(N,) each patient's cell, `NOWHERE` for people who are not in question."""
        admitted = self.admitted(records)
        return np.where(admitted, self.cells.of(values, len(admitted)), NOWHERE)

    def exact_scale(self, largest: float) -> float:
        """What public coordinates up to `largest` in size are multiplied by, a power of two."""
        if self.noised:
            return 1.0
        return float(2.0 ** np.floor(np.log2(LARGEST_SUM / (self.planned * max(largest, 1e-6)))))

    def rows(self, intervals: int = 1) -> tuple[Array, dict[str, Array]]:
        """Design (R, p) and level places of all cells, each times `intervals`, interval fastest."""
        values = {n: np.repeat(v, intervals) for n, v in self.cells.values.items()}
        if self.times:
            values[TIME] = np.tile(np.arange(float(intervals)), self.cells.count)
        used = {n: v for n, v in values.items() if n in self.design.variables}
        return self.design.matrix(used, self.cells.count * intervals), used

    def with_arm(self, arm: int, intervals: int = 1) -> Array:
        """As `rows`, with everybody in this arm."""
        _, values = self.rows(intervals)
        values[ARM] = np.full(self.cells.count * intervals, float(arm))
        return self.design.matrix(values, self.cells.count * intervals)


def written_names(design: Design, formula: str) -> tuple[str, ...]:
    """The coefficients' names as statsmodels prints them: `C(x)[T.a]` if C(x) was written."""
    return tuple(_written(column, formula) for column in design.columns)


def _written(column: Column, formula: str) -> str:
    name = column.name
    for variable, level in column.parts:
        if level is not None and re.search(rf"C\(\s*`?{re.escape(variable)}`?\s*\)", formula):
            name = re.sub(rf"(^|:){re.escape(variable)}\[", rf"\1C({variable})[", name, count=1)
    return name
