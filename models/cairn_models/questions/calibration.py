"""`Calibration`: whether a trained model's bands and medians are what they say.

**Estimand.** Among patients who were held out from training, on each scale: the share of scores
within the 50, 80 and 95 % bands that were foretold, over all horizons and by horizon, where each
patient counts once with the mean over own pairs of weeks; and calibration slope and intercept of
the median, least squares of the mean of what came on the mean of what was foretold, one point a
patient. With `by`, the same (but for single horizons) in each level of a variable.

**What is summed**: `trajectory.calibration_sums`, which also has the bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, field_validator

from cairn_models.answers import SHARE, Answer
from cairn_models.contribution import Contribution
from cairn_models.questions.base import Expected, Public, Settings, Shape, SumNoise, Vector
from cairn_models.questions.calibration_answer import Frame, answer, coverage_name, line_name
from cairn_models.questions.judged import BLOCK, HeldOut, Judged, JudgedSettings
from cairn_models.questions.judged_contribution import of_bands
from cairn_models.questions.trajectory import known_horizons
from cairn_models.records import Records
from cairn_models.trajectory.calibration_sums import (
    BANDS,
    TYPICAL_D,
    ZONES,
    CalibrationSums,
)
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.features import companion_of
from cairn_models.trajectory.network import check_places, predict
from cairn_models.trajectory.targets import targets
from cairn_protocol.study import QuestionSpec, Study

WITH_SCORES: Final = 0.85  # of held-out people who have a pair of scores, in synthetic worlds
AT_A_HORIZON: Final = 0.6
MAIN_FIRST: Final = (1, 0, 2)  # the 80 % band is what a plan judges
D_AT_A_HORIZON: Final = 0.4  # how shares vary between patients there


class CalibrationSettings(JudgedSettings):
    """Settings of a "calibration" question.

    Args:
        horizons: weeks ahead to judge.
        companion: whether the companion scale is judged too.
        line: whether slope, mean difference and intercept of the medians are told.
        by_horizon: whether coverage is told at each horizon too.

    What is left out is spared by the noise in what is asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizons: tuple[int, ...] = HORIZONS
    companion: bool = False
    line: bool = True
    by_horizon: bool = False

    @field_validator("horizons")
    @classmethod
    def _known(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return known_horizons(value)


class Calibration(Judged):
    """Kind "calibration". The public state is the model's parameters."""

    kind: ClassVar[str] = "calibration"
    settings_model: ClassVar[type[Settings]] = CalibrationSettings
    settings: CalibrationSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        both = (self.instrument, companion_of(self.instrument))
        self.scales = both if asked.companion else both[:1]
        self.sums = CalibrationSums(
            len(self.scales),
            len(asked.horizons),
            max(len(self.levels), 1),
            line=asked.line,
            by_horizon=asked.by_horizon,
        )

    @property
    def shape(self) -> Shape:
        """Up to twelve numbers a scale and level, seven a scale and horizon, in one round."""
        return Shape(self.sums.length, self.sums.bound)

    @property
    def contribution(self) -> Contribution:
        """Shares within the bands, and one point of the calibration line."""
        scales = [scale.name for scale in self.scales]
        asked = self.settings
        return of_bands(
            asked.model, scales, asked.horizons, self.levels, split=self.split, sums=self.sums
        )

    def prepare(self, records: Records) -> HeldOut:
        """The held-out patients, once this machine's arithmetic has proved even."""
        check_places(BLOCK)
        return super().prepare(records)

    def contributions(self, prepared: HeldOut, public: Public) -> Iterator[Vector]:
        """(block, length) vectors, each of norm ≤ C."""
        for some in prepared.blocks():
            yield self.sums.encode(*self._seen(some, public), some.level)

    def _seen(self, some: HeldOut, public: Public) -> tuple[NDArray[np.int64], Vector, Vector]:
        """Zones (N, scales, horizons, ZONES), and means over own cells, each (N, scales)."""
        asked = [HORIZONS.index(h) for h in self.settings.horizons]
        found = predict(public, some.weeks.features, BLOCK)
        told = targets(some.weeks, self.instrument, self.settings.horizons)
        scales = range(len(self.scales))
        zones = np.zeros((len(some), len(scales), len(asked), ZONES), dtype=np.int64)
        means = np.zeros((2, len(some), len(scales)))
        for s in scales:
            known, came = (a[:, :, s, asked] for a in (told.score_known, told.score))
            within = np.full(known.shape, ZONES - 1)
            for band in reversed(range(len(BANDS))):
                tail = (1.0 - BANDS[band]) / 2.0
                low, high = (found.quantile(q, s)[:, :, asked] for q in (tail, 1.0 - tail))
                within = np.where((came >= low) & (came <= high), band, within)
            for zone in range(ZONES):
                zones[:, s, :, zone] = (known & (within == zone)).sum(axis=1)
            median = found.median[:, :, s, asked]
            for k, values in enumerate((np.clip(median, 0.0, 1.0), came)):
                # One row after another in memory: the order of a sum must not tell who else is
                # there.
                flat = np.ascontiguousarray(np.where(known, values, 0.0), dtype=np.float64)
                cells = np.maximum(known.sum(axis=(1, 2)), 1)
                means[k, :, s] = flat.reshape(len(some), -1).sum(axis=1) / cells
        return zones, means[0], means[1]

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Coverage and calibration lines with intervals that include the noise."""
        decoded = self.sums.decode(total, noise.sd, self.study.disclosure.patients)
        return answer(self.frame, decoded)

    @property
    def frame(self) -> Frame:
        """The public facts that an answer is worded with."""
        asked = self.settings
        return Frame(
            question=self.name,
            model=asked.model,
            scales=self.scales,
            horizons=asked.horizons,
            by=asked.by,
            levels=self.levels,
            held_out=self.split.words,
            synthetic=self.study.synthetic,
            fewest=self.study.disclosure.patients,
            noised=self.study.noised,
            line=asked.line,
            by_horizon=self.sums.parted > 0,
        )

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """Coverage over all horizons, slopes, and coverage by horizon, of a calibrated model."""
        there = self.sums.planned(self.planned * AT_A_HORIZON, D_AT_A_HORIZON)
        part = self.sums.decode(there, noise.sd, None)
        everybody = self.sums.planned(self.planned * WITH_SCORES, TYPICAL_D)
        several = len(self.settings.horizons) > 1
        whole = self.sums.decode(everybody, noise.sd, None) if several else part
        found = []
        for s, scale in enumerate(self.scales):
            for b in MAIN_FIRST:
                p, band = whole.coverage(s, b), BANDS[b]
                name, label = (
                    coverage_name(scale, band),
                    f"{scale.name}: within the {band:.0%} band",
                )
                found.append(_expected(name, label, SHARE, float(p.sampling), float(p.noise)))
        for s, scale in enumerate(self.scales):
            line = whole.line(s)
            if line is not None and line.slope is not None:
                label = f"{scale.name}: calibration slope"
                found.append(_expected(line_name(scale, "slope"), label, "", *line.slope[1:]))
        for s, scale in enumerate(self.scales if self.sums.parted else ()):
            for h, horizon in enumerate(self.settings.horizons):
                for b, band in enumerate(BANDS):
                    p = part.coverage(s, b, horizon=h)
                    name = coverage_name(scale, band, f"week{horizon}")
                    label = f"{scale.name}: within the {band:.0%} band, {horizon} weeks ahead"
                    found.append(_expected(name, label, SHARE, float(p.sampling), float(p.noise)))
        return tuple(found)


def _expected(name: str, label: str, unit: str, sampling: float, noise: float) -> Expected:
    return Expected(name, label, unit, float(np.sqrt(sampling)), float(np.sqrt(noise)))
