"""`Error`: how far a trained model's predictions are off, for patients who never trained it.

One charged round. Each held-out patient sends the vector of `trajectory.error_sums`: mean absolute
errors of the model by horizon, and by the weeks from which was foretold where these are divided, as
differences to the model's prior and to the last value carried forward. So the report can say what
the data added beyond the prior, which no training curve shows.

On the companion scale only weeks count in which it had been seen: before, no value can be carried
forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from cairn_models.answers import Answer
from cairn_models.contribution import Contribution
from cairn_models.questions.base import (
    Expected,
    Public,
    Question,
    Released,
    Settings,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.error_answer import Frame, answer, bands_of, label_of, suffix_of
from cairn_models.questions.held_out import HeldOut
from cairn_models.questions.judged_contribution import of_errors
from cairn_models.questions.judged_split import split_of_model
from cairn_models.questions.trajectory import known_horizons
from cairn_models.records import Records
from cairn_models.trajectory.columns import COLUMNS, HORIZONS, LAST, WEEKS
from cairn_models.trajectory.error_sums import ErrorSums
from cairn_models.trajectory.features import Weekly, companion_of, weekly
from cairn_models.trajectory.network import check_places, parameter_count, predict
from cairn_models.trajectory.targets import targets
from cairn_protocol.errors import OurFault
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 256  # patients
ANY_COMPANION: Final = COLUMNS.index("any_companion")
MOST_BANDS: Final = 6
# Held-out people with a pair of scores so many weeks apart, in synthetic worlds:
WITH_PAIR: Final = dict(zip(HORIZONS, (0.45, 0.45, 0.7, 0.6, 0.5), strict=True))
# Of these, those with one that begins in a band of weeks:
IN_FIRST_BAND, FADES = 0.85, 1 / 40  # of that a week later


class ErrorSettings(Settings):
    """Settings of an `error` question.

    Args:
        model: name of the `trajectory` question whose model is judged; it must stand before.
        held_out: must be that question's own; it is taken from there if not given.
        horizons: weeks ahead to judge; fewer are judged more precisely.
        weeks: weeks since entry at which a new band begins of weeks from which is foretold; each
            band is judged too. Fewer are judged more precisely.
        scale: the study's instrument, or the companion scale that is foretold with it.
    """

    model: str
    held_out: HeldOut | None = None
    horizons: tuple[int, ...] = HORIZONS
    weeks: tuple[int, ...] = ()
    scale: Literal["main", "companion"] = "main"

    @field_validator("weeks")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        ends = (0, *value, WEEKS)
        if not all(a < b for a, b in pairwise(ends)) or len(value) >= MOST_BANDS:
            raise ValueError(f"up to {MOST_BANDS - 1} weeks that rise between 1 and {WEEKS - 1}")
        return value

    @field_validator("horizons")
    @classmethod
    def _known(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return known_horizons(value)


class Error(Question[Weekly]):
    """Kind "error". The public state is the model's parameters followed by the prior's."""

    kind = "error"
    category = "evaluate"
    settings_model = ErrorSettings
    settings: ErrorSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.split = split_of_model(spec.name, asked.model, asked.held_out, study)
        self._scale = 0 if asked.scale == "main" else 1
        self.scale = (self.instrument, companion_of(self.instrument))[self._scale]
        self._ends = (0, *asked.weeks, WEEKS)
        span = self.scale.highest - self.scale.lowest
        self.sums = ErrorSums(asked.horizons, span, len(self._ends) - 1)

    @property
    def shape(self) -> Shape:
        """Four numbers a horizon and band of weeks, and the spread, in one round."""
        return Shape(self.sums.length, self.sums.bound, rounds=1)

    @property
    def contribution(self) -> Contribution:
        """Mean errors by horizon and band of weeks."""
        bands = bands_of(self.settings.weeks)
        return of_errors(self.settings.model, self.settings.horizons, bands, self.split)

    @property
    def builds_on(self) -> tuple[str, ...]:
        """The question that trained the model."""
        return (self.settings.model,)

    @property
    def state_length(self) -> int:
        """Two sets of parameters."""
        return 2 * parameter_count()

    def start(self, released: Released) -> Public:
        """(2d,) float32: the trained parameters, then the prior's."""
        parts = [released.get(f"{self.settings.model}/{k}") for k in ("parameters", "prior")]
        d = parameter_count()
        arrays = [np.asarray(p, dtype=np.float32) for p in parts if p is not None]
        if [a.shape for a in arrays] != [(d,), (d,)] or not np.isfinite(arrays).all():
            raise OurFault(
                f"question {self.name!r} was asked before {self.settings.model!r} released a model",
                code="error-order",
                why="its parameters and its prior are needed, finite and of the network's size",
            )
        return np.concatenate(arrays)

    def prepare(self, records: Records) -> Weekly:
        """The held-out patients' weeks."""
        check_places(BLOCK)
        weeks = weekly(records, self.instrument)
        return weeks.take(self.split.judging(weeks.patients))

    def counts_at(self, clinic: str) -> bool:
        """Where somebody was held out."""
        return self.split.judges_at(clinic)

    def contributions(self, prepared: Weekly, public: Public) -> Iterator[Vector]:
        """(block, 4 · cells + 1) vectors, each of norm ≤ C."""
        d = parameter_count()
        for at in range(0, len(prepared), BLOCK):
            some = prepared.take(range(at, min(at + BLOCK, len(prepared))))
            target, known = self._pairs(some)
            guesses = (
                predict(public[:d], some.features, BLOCK).quantile(0.5, self._scale),
                some.features[:, :, LAST[self._scale], None],
                predict(public[d:], some.features, BLOCK).quantile(0.5, self._scale),
            )
            model, last, prior = (self._mean_error(guess, target, known) for guess in guesses)
            pairs = self._by_band(known.astype(np.int64))
            yield self.sums.encode(model, last, prior, pairs > 0)

    def _pairs(self, some: Weekly) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(N, T, H) what came after each week, and whether that week counts."""
        told = targets(some, self.instrument, self.settings.horizons)
        known = told.score_known[:, :, self._scale]
        if self._scale:
            known = known & (some.features[:, :, ANY_COMPANION, None] > 0)
        return told.score[:, :, self._scale], known

    def _mean_error(
        self, guess: NDArray[np.float32], target: NDArray[np.float32], known: NDArray[np.bool_]
    ) -> Vector:
        """(N, cells) mean absolute error in points over each patient's own pairs."""
        gap = np.where(known, np.abs(guess.astype(np.float64) - target), 0.0)
        pairs = np.maximum(self._by_band(known.astype(np.int64)), 1)
        return np.asarray(self.sums.span * self._by_band(gap) / pairs)

    def _by_band(self, values: NDArray[Any]) -> NDArray[Any]:
        """(N, cells) sums over each band's weeks at the horizons that are asked for."""
        asked = [HORIZONS.index(h) for h in self.settings.horizons]
        bands = [values[:, a:b].sum(axis=1)[:, asked] for a, b in pairwise(self._ends)]
        return np.concatenate(bands, axis=1)

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """What the model gains on the last value and on its prior, over all its horizons.

        As many planned held-out patients count at each horizon, fewer of them in later weeks, and
        errors vary as on the synthetic worlds from which the scales of `error_sums` come.
        """
        held_out = self.study.cohort.planned_patients * self.split.share
        people = held_out * np.array([WITH_PAIR[h] for h in self.settings.horizons])
        starts = np.array(self._ends[:-1])
        there = IN_FIRST_BAND * (1 - FADES * starts) if self.settings.weeks else np.ones(1)
        total = self.sums.planned(np.outer(there, people).ravel())
        rows = self.sums.decode(total, noise.variance, fewest=None)
        single = len(self.settings.horizons) == 1
        bands = bands_of(self.settings.weeks)
        found = []
        for row in rows:
            if row.horizon is not None and not single:
                continue
            band = "" if row.band is None else bands[row.band]
            at = suffix_of(row.horizon, band)
            for key, value in (("minus_last", row.minus_last), ("minus_prior", row.minus_prior)):
                found.append(
                    Expected(
                        f"{key}_{at}",
                        label_of(key, row.horizon, band),
                        f"{self.scale.name} points",
                        sampling=float(np.sqrt(value.sampling)),
                        noise=float(np.sqrt(value.noise)),
                    )
                )
        return tuple(found)

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Errors by horizon of model, prior and last value, with intervals that include noise."""
        rows = self.sums.decode(np.asarray(total), noise.variance, self.study.disclosure.patients)
        frame = Frame(
            question=self.name,
            unit=f"{self.scale.name} points",
            weeks=self.settings.weeks,
            bound=self.sums.bound,
            held_out=self.split.words,
        )
        return answer(frame, rows)
