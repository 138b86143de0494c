"""A discrete-time hazard model from life tables: covariate cell × (interval, how it ended).

The counts of rows (cell, interval) with and without the event follow from the table by a public
matrix R (`intervals`); the likelihood is that of independent binary rows (Singer & Willett 1993,
J. Educ. Stat. 18:155). The noise of the table, shaped so that cumulated scores are spared, has the
covariance V there and R V Rᵀ in the rows' counts. Bound 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from cairn_models.records import Records
from cairn_models.regression.binary import BinaryRows, fit, fit_all
from cairn_models.regression.cells import NOWHERE
from cairn_models.regression.covariates import Array
from cairn_models.regression.family import BLOCK, Family, Told
from cairn_models.regression.fitted import planned
from cairn_models.regression.intervals import Intervals
from cairn_models.regression.links import LinkName
from cairn_models.regression.plan import Plan
from cairn_models.shaping import Shaping

Clock = Callable[[Records], tuple[Array, NDArray[np.bool_]]]
"""(N,) when each patient's observation ended, NaN: not in question, and whether with the event."""


class Hazard(Family):
    """One shaped life table a cell of the covariates.

    `typical`: share still there at the last end; `share`: of planned patients in question.
    """

    def __init__(
        self,
        plan: Plan,
        intervals: Intervals,
        link: LinkName,
        clock: Clock,
        *,
        typical: float,
        share: float,
    ) -> None:
        self.plan, self.intervals, self.link, self.clock = plan, intervals, link, clock
        self.typical, self.share = typical, share
        self.length, self.bound = plan.cells.count * intervals.cells, 1.0
        self.scale = plan.exact_scale(1.0)

    @cached_property
    def shaping(self) -> Shaping:
        """How cells are seen: public; plain where nothing is noised."""
        if not self.plan.noised:
            return Shaping.plain(self.intervals.cells)
        return self.intervals.shaping(self.typical)

    def prepare(self, records: Records) -> NDArray[np.int64]:
        """(N, 2) cell of the covariates and of the life table; `NOWHERE` outside the question."""
        time, had = self.clock(records)
        cell = self.plan.cell_of(records, self.plan.values(records))
        known = (cell != NOWHERE) & np.isfinite(time)
        place = self.intervals.cell_of(np.nan_to_num(time), had)
        return np.where(known[:, None], np.stack([cell, place], axis=1), NOWHERE)

    def rows(self, prepared: NDArray[np.int64], public: NDArray[np.float32]) -> Iterator[Array]:
        """The patient's column of F in the slot of the patient's cell."""
        columns = np.ascontiguousarray(self.shaping.seen.T) * self.scale
        for start in range(0, len(prepared), BLOCK):
            part = prepared[start : start + BLOCK]
            rows = np.zeros((len(part), self.plan.cells.count, self.intervals.cells))
            known = np.flatnonzero(part[:, 0] != NOWHERE)
            rows[known, part[known, 0]] = columns[part[known, 1]]
            yield rows.reshape(len(rows), self.length)

    def told(self, public: NDArray[np.float32], total: Array, noise_sd: float) -> Told:
        """Coefficients of the hazard."""
        sums = total.reshape(-1, self.intervals.cells) / self.scale
        rows = self.counted(self.shaping.table(sums), noise_sd / self.scale)
        fitted = fit(rows, self.link, fewest=self.plan.fewest)
        deviance = None if fitted.log_likelihood is None else -2.0 * fitted.log_likelihood
        return Told(fitted, {}, deviance)

    def counted(self, tables: Array, noise_sd: float) -> BinaryRows:
        """The tables (cells, intervals.cells) as rows (cell, interval)."""
        x, values = self.plan.rows(len(self.intervals.ends))
        with_event = self.intervals.events
        parts = (with_event, self.intervals.at_risk - with_event)
        one = noise_sd**2 * self.shaping.covariance
        covariance = np.block(
            [[block_diag(*[r @ one @ s.T] * len(tables)) for s in parts] for r in parts]
        )
        events, others = (tables @ r.T for r in parts)
        cell = np.repeat(np.arange(len(tables)), len(self.intervals.ends))
        events, others = events.ravel(), others.ravel()
        return BinaryRows(x, events, others, covariance, cell, values, self.plan.terms)

    @property
    def events(self) -> float:
        """People with the event in the planned cohort."""
        return self.plan.planned * self.share * (1.0 - self.typical)

    def foretold(self, noise_sd: float) -> Told | None:
        """Cells of one size with the typical curve."""
        each = self.plan.planned * self.share / self.plan.cells.count
        table = each * self.intervals.typical(self.typical)
        tables = np.tile(table, (self.plan.cells.count, 1))
        fitted = planned(*(fit_all(self.counted(tables, sd), self.link) for sd in (0.0, noise_sd)))
        return None if fitted is None else Told(fitted, {})
