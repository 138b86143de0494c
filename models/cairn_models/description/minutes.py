"""What it costs in staff time: a description's part `minutes`.

**Estimand.** m: minutes that staff spent on a patient by the week of the outcome, at most a public
number; r: 1 for a patient whose scores show reliable recovery by then, 0 for all others, also those
who were not assessed or not at caseness. Told are the mean of m by arm and θ = Σm/Σr, minutes for
each reliable recovery that was seen, over everybody in the arm. Nothing is compared or adjusted.

**What is summed.** (a, u, 1 − u²) in one of two slots an arm, r = 0 or r = 1, with u = (m − L)/L
and L half the largest m: the norm is that of a number (`Divided`), and the joint law of m and r is
kept as far as θ needs it.

**Interval of θ** (Fieller 1954, J. R. Stat. Soc. B 16:175, with noise). For the true θ, T − θR has
mean zero, with sampling variance Σ(m − θr)² = Q − 2θS + θ²R, Q = Σm², S and R the sums of m and
of 1 over people who recovered. Noise of variance v a coordinate puts on T − θR

    v·(2L² + (L² + (L − θ)²)/a²),

and the interval holds every θ with (T − θR)² ≤ z²·(both): a quadratic in θ, closed if R is clear
of zero, which is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Estimate, Table
from cairn_models.description.blocks import COUNT_WEIGHT, Divided, Number
from cairn_models.description.reading import ByArm, Frame, Reading, Section
from cairn_models.description.told import TOO_FEW, mean, whole, with_interval
from cairn_models.proportions import NORMAL_95, READABLE, noise_share
from cairn_models.questions.effect_frame import PEOPLE

MINUTES: Final = "minutes"
FEW_RECOVERED: Final = "too few reliable recoveries to divide by through the noise"
CLEAR: Final = 4.0  # standard errors of the recoveries, at which Fieller's interval is closed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """One arm's T, Q, S, R and N, in minutes and people; `noise_sd` is a coordinate's."""

    minutes: float
    squares: float
    of_recovered: float
    recovered: float
    people: float
    limit: float
    noise_sd: float

    @staticmethod
    def of(slots: Array, limit: float, noise_sd: float) -> Sums:
        """From the sums (2, 3) of people who did not and who did recover."""
        count = slots[:, 0] / COUNT_WEIGHT
        minutes = limit * (slots[:, 1] + count)
        u_square = count - slots[:, 2]
        squares = limit**2 * (u_square + 2.0 * slots[:, 1] + count)
        return Sums(
            float(minutes.sum()),
            float(max(squares.sum(), 0.0)),
            float(minutes[1]),
            float(count[1]),
            float(count.sum()),
            limit,
            noise_sd,
        )

    @property
    def count_sd(self) -> float:
        """Of the noise in one slot's count."""
        return self.noise_sd / COUNT_WEIGHT

    def noise(self, theta: float) -> float:
        """Variance of the noise in T − θR."""
        of_counts = (self.limit**2 + (self.limit - theta) ** 2) / COUNT_WEIGHT**2
        return self.noise_sd**2 * (2.0 * self.limit**2 + of_counts)

    def each(self) -> tuple[float, float, float, float, float]:
        """θ, its interval, its sampling variance and its noise's."""
        theta = max(self.minutes, 0.0) / self.recovered
        z2, v, a2 = NORMAL_95**2, self.noise_sd**2, COUNT_WEIGHT**2
        square = self.recovered**2 - z2 * (self.recovered + v / a2)
        half = self.minutes * self.recovered - z2 * (self.of_recovered + v * self.limit / a2)
        rest = self.minutes**2 - z2 * (self.squares + 2 * v * self.limit**2 * (1 + 1 / a2))
        root = float(np.sqrt(max(half**2 - square * rest, 0.0)))
        low, high = (half - root) / square, (half + root) / square
        spread = self.squares - 2 * theta * self.of_recovered + theta**2 * self.recovered
        scale = self.recovered**2
        return (
            theta,
            min(max(low, 0.0), theta),
            max(high, theta),
            max(spread, 0.0) / scale,
            self.noise(theta) / scale,
        )


def section(reading: Reading, block: Divided) -> Section:
    """Mean minutes and minutes for each reliable recovery, by arm."""
    frame = reading.frame
    slots, noise_sd = reading.slots(block)
    every = [Sums.of(own, block.number.limit, noise_sd) for own in slots]
    spent = _means(frame, block, slots.sum(axis=1).ravel(), np.sqrt(2.0) * noise_sd)
    each = tuple(_each(frame, sums, arm) for sums, arm in zip(every, frame.arms, strict=True))
    return Section(
        about="staff minutes",
        estimates=(*spent, *each),
        sentences=tuple(_sentences(frame, spent, each)),
        tables=(_table(frame, spent, each),),
        notes=tuple(_notes(frame, block)),
    )


def _means(frame: Frame, block: Divided, sums: Array, noise_sd: float) -> ByArm:
    """From the sums over both slots."""
    number = Number(MINUTES, block.arms, 0.0, block.highest)
    means = number.means(sums, noise_sd=noise_sd, fewest=float(frame.fewest))
    words = "staff minutes a patient, mean"
    return tuple(
        mean(
            Estimate(f"{MINUTES}-mean-{arm}", f"{words}: {arm}", None, unit=MINUTES),
            number,
            means,
            k,
        )
        for k, arm in enumerate(frame.arms)
    )


def _each(frame: Frame, sums: Sums, arm: str) -> Estimate:
    words = f"staff minutes for each reliable recovery: {arm}"
    blank = Estimate(f"{MINUTES}-per-recovery-{arm}", words, None, unit="minutes")
    if sums.people < max(frame.fewest, 2.0, READABLE * np.sqrt(2.0) * sums.count_sd):
        return replace(blank, suppressed=TOO_FEW)
    error = float(np.sqrt(max(sums.recovered, 0.0) + sums.count_sd**2))
    others = sums.people - sums.recovered
    if sums.recovered < max(frame.fewest, CLEAR * error, READABLE * sums.count_sd):
        return replace(blank, suppressed=FEW_RECOVERED)
    if others < max(frame.fewest, READABLE * sums.count_sd):
        return replace(blank, suppressed=TOO_FEW)
    theta, low, high, sampling, noise = sums.each()
    return replace(
        blank,
        value=theta,
        low=low,
        high=high,
        standard_error=float(np.sqrt(sampling + noise)),
        noise_share=float(noise_share(np.asarray(sampling), np.asarray(noise))),
        count=sums.recovered,
    )


def _sentences(frame: Frame, spent: ByArm, each: ByArm) -> Iterator[str]:
    for arm, minutes, ratio in zip(frame.arms, spent, each, strict=True):
        who = PEOPLE.get(arm, f"people in arm “{arm}”")
        if minutes.value is None:
            continue
        line = f"Staff spent {with_interval(minutes)} minutes on each of the {who}"
        if ratio.value is not None and ratio.value > 0:
            line += f", {ratio.value:.0f} ({ratio.low:.0f} to {ratio.high:.0f}) for each of them "
            line += "who reliably recovered"
        yield f"{line}."


def _table(frame: Frame, spent: ByArm, each: ByArm) -> Table:
    return Table(
        title="Staff minutes, by arm",
        columns=("", *frame.arms),
        rows=(
            ("minutes a patient, mean", *map(with_interval, spent)),
            ("minutes for each reliable recovery", *map(whole, each)),
        ),
        note="Over everybody in the arm, people without any contact included.",
    )


def _notes(frame: Frame, block: Divided) -> Iterator[str]:
    week = frame.weeks[-1]
    yield (
        f"Minutes are those that staff wrote down until week {week + frame.window:g}, at most "
        f"{block.highest:g} a patient; more count as {block.highest:g}. Reliable recovery by week "
        f"{week:g} is on {' and '.join(frame.scales)} together; who was not assessed counts as not "
        "seen to recover, so a ratio grows where more are lost to measurement. Arms are not "
        "compared: nothing is adjusted, and recovery has other causes too."
    )
