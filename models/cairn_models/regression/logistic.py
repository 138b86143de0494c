"""Logistic regression from one contingency table: cell of the covariates × outcome, bound 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.cohort import changes
from cairn_models.endings import programme_endings
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_models.regression.binary import BinaryRows, fit, fit_all
from cairn_models.regression.cells import NOWHERE
from cairn_models.regression.covariates import ARM, Array
from cairn_models.regression.family import BLOCK, Family, Told
from cairn_models.regression.fitted import Fitted, basis_of, planned, spanned
from cairn_models.regression.margin import Difference, risk_difference
from cairn_models.regression.plan import Plan
from cairn_models.reliable_change import OUTCOMES, courses

STARTED, COMPLETED = "started", "completed"
OUTCOME_NAMES: Final = (*OUTCOMES, STARTED, COMPLETED)
ASSESSED: Final = 0.8  # of planned patients who have all totals
AT_CASENESS: Final = 0.85  # of those
USE_PROGRAMMES: Final = 0.7  # of planned patients who start one
COMPLETE: Final = 0.5  # of those
COMPLETED_USE: Final = 1  # how `programme_endings` writes it


@dataclass(frozen=True)
class BinaryOutcome:
    """Who has the outcome; `baseline_window`, `week`, `window` in weeks."""

    name: str
    scales: Sequence[Instrument]
    baseline_window: tuple[float, float]
    week: float
    window: float

    def of(self, records: Records, arms: tuple[str, ...]) -> Array:
        """(N,) 1, 0, or NaN for people who are not in question."""
        weeks = records.times_in("week")
        if self.name in OUTCOMES:
            return self._by_reliable_change(weeks, arms)
        ended = programme_endings(weeks, arms=arms)
        started = np.isfinite(ended.time)
        if self.name == STARTED:
            return started.astype(np.float64)
        return np.where(started, (ended.how == COMPLETED_USE).astype(np.float64), np.nan)

    @property
    def typical(self) -> tuple[float, float]:
        """Share of planned patients who are in question, and of those who have the outcome."""
        if self.name == STARTED:
            return 1.0, USE_PROGRAMMES
        if self.name == COMPLETED:
            return USE_PROGRAMMES, COMPLETE
        outcome = OUTCOMES[self.name]
        return ASSESSED * (AT_CASENESS if outcome.of_cases else 1.0), outcome.typical

    def _by_reliable_change(self, weeks: Records, arms: tuple[str, ...]) -> Array:
        told = [
            changes(
                weeks,
                scale,
                arms=arms,
                baseline_window=self.baseline_window,
                at=self.week,
                within=self.window,
            )
            for scale in self.scales
        ]
        known = np.logical_and.reduce(
            [np.isfinite(t.baseline) & np.isfinite(t.outcome) for t in told]
        )
        out = np.full(len(known), np.nan)
        course = courses(
            np.stack([t.baseline[known] for t in told], axis=1),
            np.stack([t.outcome[known] for t in told], axis=1),
            self.scales,
        )
        outcome = OUTCOMES[self.name]
        out[known] = np.where(outcome.counted[course], outcome.having[course], np.nan)
        return out


class Logistic(Family):
    """Table (cells, 2): people without the outcome, people with it."""

    def __init__(self, plan: Plan, outcome: BinaryOutcome) -> None:
        self.plan, self.outcome = plan, outcome
        self.length, self.bound = 2 * plan.cells.count, 1.0
        self.scale = plan.exact_scale(1.0)

    def prepare(self, records: Records) -> NDArray[np.int64]:
        """(N,) the coordinate of each patient's 1, or `NOWHERE`."""
        had = self.outcome.of(records, self.plan.arms)
        cell = self.plan.cell_of(records, self.plan.values(records))
        known = (cell != NOWHERE) & np.isfinite(had)
        return np.where(known, 2 * cell + np.nan_to_num(had).astype(np.int64), NOWHERE)

    def rows(self, prepared: NDArray[np.int64], public: NDArray[np.float32]) -> Iterator[Array]:
        """One-hot rows; zero outside the question."""
        for start in range(0, len(prepared), BLOCK):
            part = prepared[start : start + BLOCK]
            rows = np.zeros((len(part), self.length))
            known = np.flatnonzero(part != NOWHERE)
            rows[known, part[known]] = self.scale
            yield rows

    def told(self, public: NDArray[np.float32], total: Array, noise_sd: float) -> Told:
        """Coefficients, and the marginal risk difference of each arm."""
        rows = self.counted(total / self.scale, noise_sd / self.scale)
        fitted = fit(rows, "logit", fewest=self.plan.fewest)
        deviance = None if fitted.log_likelihood is None else -2.0 * fitted.log_likelihood
        return Told(fitted, self._differences(rows, fitted), deviance)

    def counted(self, table: Array, noise_sd: float) -> BinaryRows:
        """The table as rows, one a cell."""
        x, values = self.plan.rows()
        counts = table.reshape(-1, 2)
        covariance = noise_sd**2 * np.eye(2 * len(x))
        each, terms = np.arange(len(x)), self.plan.terms
        return BinaryRows(x, counts[:, 1], counts[:, 0], covariance, each, values, terms)

    @property
    def events(self) -> float:
        """Of the rarer outcome."""
        share, rate = self.outcome.typical
        return self.plan.planned * share * min(rate, 1.0 - rate)

    def foretold(self, noise_sd: float) -> Told | None:
        """Cells of one size at the public rate."""
        share, rate = self.outcome.typical
        each = self.plan.planned * share / self.plan.cells.count
        table = np.tile([each * (1.0 - rate), each * rate], self.plan.cells.count)
        quiet, noised = (self.counted(table, sd) for sd in (0.0, noise_sd))
        fitted = planned(fit_all(quiet, "logit"), fit_all(noised, "logit"))
        return None if fitted is None else Told(fitted, self._differences(noised, fitted))

    def _differences(self, rows: BinaryRows, fitted: Fitted) -> dict[int, Difference]:
        """Of each other arm against the first, where both can be told of everybody who stays."""
        if ARM not in self.plan.covariates or not fitted.told.any():
            return {}
        stay = fitted.rows if fitted.rows is not None else np.ones(len(rows.x), dtype=np.bool_)
        basis = basis_of(rows.x[stay])
        own = rows.only(stay)
        exchanged = [self.plan.with_arm(arm)[stay] for arm in range(len(self.plan.arms))]
        if not spanned(basis, exchanged[0]).all():
            return {}
        return {
            arm: risk_difference(own, fitted, "logit", x, exchanged[0])
            for arm, x in enumerate(exchanged)
            if arm and spanned(basis, x).all()
        }
