"""`Discrimination`: how well a trained model tells who will have an outcome from who will not.

**Estimand.** People who were held out from training count once each, at their anchor: the first
week from `anchor` to `anchor` + `within` from which the outcome can be told. In each stands the
probability that the model gave then, and whether the outcome came. From them the area under the
curve, the share with the outcome in each bin of probability, calibration slope and intercept, the
Brier score and the net benefit by threshold; with `by`, the area in each level of a variable.

**What is summed.** One cell a patient in a table of bin × outcome, bound 1 (`prediction_table`).
**The estimators** are those of `statistics.binned`, which are exact where there is no noise but for
the rounding of probabilities to bins.

**The floor.** A head of the network may be released only where the lower end of the interval of its
area exceeds `floor`; otherwise what it foretells is said to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from cairn_models.answers import Answer
from cairn_models.contribution import Contribution
from cairn_models.questions.base import Expected, Public, Settings, Shape, SumNoise, Vector
from cairn_models.questions.discrimination_answer import answer
from cairn_models.questions.discrimination_estimates import Frame, estimates_of
from cairn_models.questions.judged import BLOCK, HeldOut, Judged, JudgedSettings
from cairn_models.questions.judged_contribution import of_chances
from cairn_models.records import Records
from cairn_models.reliable_change import has_thresholds
from cairn_models.statistics.binned import Binned, auc
from cairn_models.trajectory.columns import (
    DROPOUTS,
    HORIZONS,
    LEFT_WITHIN,
    LOST_WITHIN,
    OUTCOMES,
    WEEKS,
)
from cairn_models.trajectory.features import companion_of
from cairn_models.trajectory.network import check_places, predict
from cairn_models.trajectory.prediction_table import PredictionTable
from cairn_models.trajectory.targets import targets
from cairn_protocol.study import QuestionSpec, Study

OutcomeName = Literal[
    "reliable_improvement",
    "reliable_deterioration",
    "recovery",
    "measurement_lost",
    "programme_left",
]
COMMON: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RARE: Final = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4)
# A public rate, and the share of held-out people of whom the outcome is known from such an anchor:
# NHS Talking Therapies 2024-25 for the first three rates, synthetic worlds for the rest.
TYPICAL: Final = {
    "reliable_improvement": (0.475, 0.5),
    "reliable_deterioration": (0.07, 0.5),
    "recovery": (0.418, 0.44),
    "measurement_lost": (0.15, 0.8),
    "programme_left": (0.15, 0.36),
}
MOST_BINS: Final = 24


class DiscriminationSettings(JudgedSettings):
    """Settings of a "discrimination" question; times are weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    outcome: OutcomeName
    horizon: int = 8
    anchor: int = Field(default=4, ge=0, le=24)
    within: int = Field(default=4, ge=0, le=8)
    edges: tuple[float, ...] = ()
    floor: float = Field(default=0.6, ge=0.5, lt=1)
    typical: float | None = Field(default=None, ge=0.01, le=0.99)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.horizon not in HORIZONS:
            raise ValueError(
                f"horizon: the network predicts {', '.join(map(str, HORIZONS))} weeks ahead"
            )
        ends = (0.0, *self.edges, 1.0)
        if not all(a < b for a, b in pairwise(ends)) or len(self.edges) >= MOST_BINS:
            raise ValueError(f"edges: up to {MOST_BINS - 1} that rise between 0 and 1")
        if self.anchor + self.within + self.ahead >= WEEKS:
            raise ValueError(
                f"anchor: the outcome must lie in the {WEEKS - 1} weeks that the model knows"
            )
        return self

    @property
    def ahead(self) -> int:
        """Weeks from the anchor to the outcome."""
        if self.outcome in DROPOUTS:
            return LOST_WITHIN if self.outcome == "measurement_lost" else LEFT_WITHIN
        return self.horizon


class Discrimination(Judged):
    """Kind "discrimination". The public state is the model's parameters."""

    kind: ClassVar[str] = "discrimination"
    settings_model: ClassVar[type[Settings]] = DiscriminationSettings
    settings: DiscriminationSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        scales = (self.instrument, companion_of(self.instrument))
        if asked.outcome in OUTCOMES and not all(map(has_thresholds, scales)):
            raise self.refusal(
                f"outcome: {self.instrument.name} has no thresholds of reliable change",
                f"ask of {' or '.join(DROPOUTS)}",
            )
        rate, self._known = TYPICAL[asked.outcome]
        rare = asked.outcome in {"reliable_deterioration", *DROPOUTS}
        self.table = PredictionTable(
            asked.edges or (RARE if rare else COMMON),
            asked.typical or rate,
            max(len(self.levels), 1),
            shaped=study.noised,
        )

    @property
    def shape(self) -> Shape:
        """Two cells a bin in each level; the bound is 1 however many there are."""
        return Shape(self.table.length, self.table.bound)

    @property
    def contribution(self) -> Contribution:
        """The bin of the foretold chance, with the outcome."""
        asked = self.settings
        return of_chances(asked.model, asked.outcome, self.table, self.levels, self.split)

    @property
    def _weeks(self) -> int:
        """Weeks that the network is shown: those until the last anchor."""
        return self.settings.anchor + self.settings.within + 1

    def prepare(self, records: Records) -> HeldOut:
        """The held-out patients, once this machine's arithmetic has proved even."""
        check_places(BLOCK, weeks=self._weeks)
        return super().prepare(records)

    def contributions(self, prepared: HeldOut, public: Public) -> Iterator[Vector]:
        """The cells' columns; zero where the outcome or the level is not known."""
        for some in prepared.blocks():
            yield self.table.rows(self._cells(some, public))

    def _cells(self, some: HeldOut, public: Public) -> NDArray[np.int64]:
        """(N,) each patient's place in the table."""
        asked = self.settings
        found = predict(public, some.weeks.features[:, : self._weeks], BLOCK)
        told = targets(some.weeks, self.instrument, (asked.horizon,))
        if asked.outcome in DROPOUTS:
            k = DROPOUTS.index(asked.outcome)
            chance, came, known = (
                a[:, :, k] for a in (found.dropout, told.dropout, told.dropout_known)
            )
        else:
            k, h = OUTCOMES.index(asked.outcome), HORIZONS.index(asked.horizon)
            chance, came, known = (
                a[:, :, k, h] for a in (found.outcome, told.outcome, told.outcome_known)
            )
        window = slice(asked.anchor, self._weeks)
        at = known[:, window].argmax(axis=1) + asked.anchor
        row = np.arange(len(some))
        return self.table.coordinates(chance[row, at], came[row, at], known[row, at], some.level)

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """The answer; nothing is told of groups below the disclosure threshold."""
        everybody = self.table.read(total, noise.sd)
        levels = [self.table.read(total, noise.sd, k) for k in range(len(self.levels))]
        return answer(self.frame, estimates_of(self.frame, everybody, levels))

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        asked = self.settings
        return Frame(
            question=self.name,
            model=asked.model,
            outcome=asked.outcome,
            ahead=asked.ahead,
            anchor=(asked.anchor, asked.anchor + asked.within),
            edges=self.table.edges,
            middles=self.table.middles,
            floor=asked.floor,
            by=asked.by,
            levels=self.levels,
            held_out=self.split.words,
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
            noised=self.study.noised,
        )

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """The area under the curve, in the public cohort of `prediction_table`."""
        people = self.planned * self._known
        groups: list[tuple[str, str, int | None]] = [("auc", "area under the curve", None)]
        groups += [
            (f"auc-{level}", f"area under the curve, {self.settings.by} {level}", k)
            for k, level in enumerate(self.levels)
        ]
        result = []
        for name, label, level in groups:
            n = people if level is None else people / len(self.levels)
            noised = self.table.read(np.zeros(self.table.length), noise.sd, level)
            told = auc(Binned(self.table.planned(n), np.zeros_like(noised.covariance)))
            spread = float(told.gradient @ noised.covariance @ told.gradient)
            result.append(
                Expected(name, label, "", float(np.sqrt(told.sampling)), float(np.sqrt(spread)))
            )
        return tuple(result)
