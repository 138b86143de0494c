"""Logistic and hazard models with continuous covariates, by Newton rounds: public data only.

A patient contributes, at the round's coefficients, the score, the information and the
log-likelihood of that patient's own rows; they are unbounded, so patients' data may not be asked
this way. Rounds are fixed in advance; the last sum gives one more step in double precision, and the
size of that step says whether the maximum was reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.formula import TIME
from cairn_models.records import Records
from cairn_models.regression.covariates import Array
from cairn_models.regression.family import Family, Told
from cairn_models.regression.fitted import NOT_FITTED, TOO_FEW, Fitted
from cairn_models.regression.links import LinkName, pull
from cairn_models.regression.plan import Plan

LONGEST: Final = 4.0  # of a step, in the scale of a column's largest value
REACHED: Final = 1e-3  # a last step shorter than this, in standard errors, is at the maximum
Outcome = Callable[[Records], tuple[NDArray[np.int64], NDArray[np.bool_]]]
"""(N,) in how many intervals each patient is at risk, and whether the last has the event."""


@dataclass(frozen=True)
class PatientRows:
    """`x` (n, p) scaled and `y` (n,) of one patient after another; `first` (N + 1,) their ends."""

    x: Array
    y: Array
    first: NDArray[np.int64]


class Newton(Family):
    """(score, information's upper triangle, log-likelihood, 1, columns that are not zero)."""

    bound = None

    def __init__(
        self, plan: Plan, link: LinkName, outcome: Outcome, intervals: int, rounds: int
    ) -> None:
        self.plan, self.link, self.outcome = plan, link, outcome
        self.p, self.rounds = len(plan.design.columns), rounds
        self.length = self.p + self.p * (self.p + 1) // 2 + 2 + self.p
        largest = np.array([column.largest for column in plan.design.columns])
        self.columns = 2.0 ** -np.ceil(np.log2(np.maximum(largest, 1e-12)))
        self.scale = plan.exact_scale(64.0 * intervals)

    def prepare(self, records: Records) -> PatientRows:
        """Every patient's rows of the model; none if a covariate is missing."""
        values = self.plan.values(records)
        at_risk, had = self.outcome(records)
        known = self.plan.admitted(records)
        for value in values.values():
            known &= np.isfinite(value)
        n = np.where(known, at_risk, 0)
        first = np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
        whose = np.repeat(np.arange(len(n)), n)
        interval = np.arange(first[-1]) - first[whose]
        long = {name: value[whose] for name, value in values.items()}
        if self.plan.times:
            long[TIME] = interval.astype(np.float64)
        x = self.plan.design.matrix(long, len(whose)) * self.columns
        y = ((interval == n[whose] - 1) & had[whose]).astype(np.float64)
        return PatientRows(x, y, first)

    def rows(self, prepared: PatientRows, public: NDArray[np.float32]) -> Iterator[Array]:
        """Blocks of patients' rows; see the module."""
        beta = public.astype(np.float64)
        upper = np.triu_indices(self.p)
        for start in range(0, len(prepared.first) - 1, 256):
            ends = prepared.first[start : start + 257]
            out = np.zeros((len(ends) - 1, self.length))
            for i, (a, b) in enumerate(pairwise(ends)):
                if b == a:
                    continue
                x, y = prepared.x[a:b], prepared.y[a:b]
                at = pull(self.link, (x * beta).sum(axis=1))
                slope = y * at.a[0] + (1.0 - y) * at.b[0]
                log = y * np.log(at.mean) + (1.0 - y) * np.log1p(-at.mean)
                out[i] = np.concatenate(
                    [
                        slope @ x,
                        (x.T @ (at.weight[:, None] * x))[upper],
                        [log.sum(), 1.0],
                        (x != 0).any(axis=0),
                    ]
                )
            yield out * self.scale

    def start(self) -> NDArray[np.float32]:
        """Coefficients of the scaled columns: all zero."""
        return np.zeros(self.p, dtype=np.float32)

    def advance(self, public: NDArray[np.float32], total: Array) -> NDArray[np.float32]:
        """One step of Fisher's scoring, no longer than `LONGEST`; none without information."""
        score, information, _, _, _ = self._parts(total)
        if not _invertible(information):
            return public
        step = np.linalg.solve(information, score)
        step = step * min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-300))
        return (public + step).astype(np.float32)

    def told(self, public: NDArray[np.float32], total: Array, noise_sd: float) -> Told:
        """Coefficients and deviance at the maximum, or why it was not reached."""
        score, information, log, people, count = self._parts(total)
        if people < self.plan.fewest:
            return Told(Fitted.nothing(TOO_FEW, count, people), {})
        if not _invertible(information):
            return Told(Fitted.nothing(NOT_FITTED, count, people), {})
        covariance = np.linalg.inv(information)
        step = covariance @ score
        if np.abs(step / np.sqrt(np.diag(covariance))).max() > REACHED:
            return Told(Fitted.nothing(NOT_FITTED, count, people), {})
        back = np.outer(self.columns, self.columns)
        why = tuple("" if n >= self.plan.fewest else TOO_FEW for n in count)
        fitted = Fitted(
            beta=(public.astype(np.float64) + step) * self.columns,
            sampling=np.asarray(covariance * back),
            noise=np.zeros_like(covariance),
            why=why,
            count=count,
            people=people,
            log_likelihood=log + 0.5 * float(step @ score),
        )
        return Told(fitted, {}, -2.0 * (log + 0.5 * float(step @ score)))

    @property
    def events(self) -> float:
        """Not foretold: public data cost nothing."""
        return float("inf")

    def foretold(self, noise_sd: float) -> Told | None:
        """Nothing: public data are not noised."""
        return None

    def _parts(self, total: Array) -> tuple[Array, Array, float, float, Array]:
        p, sums = self.p, total / self.scale
        half = p * (p + 1) // 2
        information = np.zeros((p, p))
        information[np.triu_indices(p)] = sums[p : p + half]
        information = information + np.triu(information, 1).T
        log, people = (float(v) for v in sums[p + half : p + half + 2])
        return sums[:p], information, log, people, sums[p + half + 2 :]


def _invertible(matrix: Array) -> bool:
    sizes = np.linalg.eigvalsh(matrix)
    return bool(sizes[0] > 1e-9 * max(float(sizes[-1]), 1e-9))
