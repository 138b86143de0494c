"""`Course`: symptoms, benefit and the two dropouts, week by week for all patients at once.

Who stops or is lost depends on symptoms that week, and symptoms depend on who has stopped; so
weeks run in order, and patients in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from cairn_models.synthetic.draws import Draws, Floats
from cairn_models.synthetic.people import Patients, Site
from cairn_models.synthetic.programme import Use
from cairn_models.synthetic.world import World

Weeks = NDArray[np.int64]
POINTS_PER_SD = 6.0  # the scale of severity and worsening in the hazards
RECENT = 4  # weeks over which worsening counts


@dataclass(frozen=True)
class Course:
    """What would be seen with full follow-up, and when it ends.

    Args:
        symptoms: (n, T) true PHQ-9 points, not cut to the range.
        phq9, gad7: (n, T) scores, whole numbers in range, whether or not anyone asks.
        stop: (n,) week of last use of who gives the programme up; past the horizon otherwise.
        lost: (n,) first week from which no score is taken; past the horizon otherwise.
    """

    symptoms: Floats
    phq9: Floats
    gad7: Floats
    stop: Weeks
    lost: Weeks

    @classmethod
    def of(cls, world: World, site: Site, patients: Patients, use: Use, draws: Draws) -> Course:
        """The course behind `draws`."""
        s, n, times = world.symptoms, len(draws), draws.times
        keep = np.exp(-1.0 / s.wobble_weeks)
        wobble = _autoregressive(draws.normal("phq9_wobble"), s.wobble_sd, keep)
        other = _autoregressive(draws.normal("gad7_wobble"), s.wobble_sd, keep)
        r = s.wobble_correlation
        gad7_wobble = 0.85 * (r * wobble + np.sqrt(1 - r * r) * other)
        excess = s.entry_excess * keep ** np.arange(times)
        alone = _natural(world, site, patients, draws)
        gain = _Gain(world, patients, use)
        hazards = _Hazards(world, patients, use)

        symptoms = np.empty((n, times))
        gained = np.empty((n, times))
        stop = np.full(n, times, dtype=np.int64)
        lost = np.full(n, times, dtype=np.int64)
        u_stop, u_lost = draws.uniform("stop"), draws.uniform("lost")
        for week in range(times):
            gained[:, week] = gain.now
            now = patients.phq9_level + alone[:, week] + wobble[:, week] + excess[week]
            now = symptoms[:, week] = now - gain.now
            worsening = now - symptoms[:, max(0, week - RECENT)]
            stops = u_stop[:, week] < hazards.stop(week, now, worsening, stop)
            stop[stops] = week
            loses = (lost == times) & (u_lost[:, week] < hazards.lost(week, now, worsening, stop))
            lost[loses] = week + 1
            gain.advance(week, stop)
        change = s.gad7_follows * (alone - gained + excess)
        gad7 = patients.gad7_level[:, None] + change + gad7_wobble
        return cls(
            symptoms,
            _score(symptoms + s.answer_sd * draws.normal("phq9_answer"), 27),
            _score(gad7 + 0.85 * s.answer_sd * draws.normal("gad7_answer"), 21),
            stop,
            lost,
        )


def _score(points: Floats, highest: int) -> Floats:
    scores: Floats = np.clip(np.round(points), 0, highest)
    return scores


def _autoregressive(shocks: Floats, sd: float, keep: float) -> Floats:
    """(n, T) stationary series with standard deviation `sd` and weekly correlation `keep`."""
    series = np.empty_like(shocks)
    series[:, 0] = sd * shocks[:, 0]
    fresh = sd * np.sqrt(1 - keep * keep)
    for week in range(1, shocks.shape[1]):
        series[:, week] = keep * series[:, week - 1] + fresh * shocks[:, week]
    return series


def _natural(world: World, site: Site, patients: Patients, draws: Draws) -> Floats:
    """(n, T) change in points without any intervention."""
    week = np.arange(draws.times)
    share = np.array([c.natural for c in world.classes])[patients.response]
    constant = np.array([c.weeks for c in world.classes])[patients.response]
    size = share * np.maximum(patients.phq9_level, 2.0)
    change = -size[:, None] * -np.expm1(-week[None, :] / constant[:, None])
    trend = world.symptoms.trend_sd * draws.normal("trend")
    of_site = site.change * np.expm1(-week / 8.0) / np.expm1(-1.0)
    total: Floats = change + trend[:, None] * week[None, :] + of_site[None, :]
    return total


class _Gain:
    """The arm's benefit so far, `now` (n,) points; grows while used, fades after a stop."""

    def __init__(self, world: World, patients: Patients, use: Use) -> None:
        plan = world.programme
        response = np.array([c.response for c in world.classes])[patients.response]
        belief = np.clip(1 + plan.credibility_on_benefit * patients.credibility, 0.0, 2.0)
        relative_level = np.maximum(patients.phq9_level, 2.0) / world.symptoms.phq9_mean
        benefit = np.array([a.benefit for a in world.arms])[patients.arm]
        self._target = benefit * response * relative_level * belief
        self._step = -np.expm1(-1 / np.array([a.weeks for a in world.arms])[patients.arm])
        self._kept = plan.kept_after_stop
        self._start = np.where(use.has_programme, use.start, 0)
        self.now: Floats = np.zeros(len(self._target))

    def advance(self, week: int, stop: Weeks) -> None:
        grown = self.now + self._step * (self._target - self.now)
        self.now = np.where(stop <= week, self._kept * self.now, grown)
        self.now[self._start > week] = 0.0


class _Hazards:
    """Weekly probabilities (n,) of stopping the programme and of being lost to measurement."""

    def __init__(self, world: World, patients: Patients, use: Use) -> None:
        self._d, self._use = world.dropout, use
        self._mean = world.symptoms.phq9_mean
        floor = 1e-9  # a hazard of zero has no log odds
        base_lost = np.array([a.lost for a in world.arms])
        base_stop = np.array([a.stopped for a in world.arms])
        self._lost = logit(np.maximum(base_lost, floor))[patients.arm] + patients.frailty
        self._stop = logit(np.maximum(base_stop, floor))[patients.arm] + patients.frailty
        self._stop += world.dropout.stop_credibility * patients.credibility

    def stop(self, week: int, now: Floats, worsening: Floats, stop: Weeks) -> Floats:
        use, d = self._use, self._d
        active = (use.start <= week) & (week < use.complete) & (stop > week)
        odds = self._stop + d.stop_technical_error * use.errors[:, week]
        odds = odds + d.stop_severity * (now - self._mean) / POINTS_PER_SD
        odds = odds + d.stop_worsening * worsening / POINTS_PER_SD
        hazard: Floats = np.where(active, expit(odds), 0.0)
        return hazard

    def lost(self, week: int, now: Floats, worsening: Floats, stop: Weeks) -> Floats:
        d = self._d
        odds = self._lost + d.lost_after_stop * (stop <= week)
        odds = odds + d.lost_severity * (now - self._mean) / POINTS_PER_SD
        odds = odds + d.lost_worsening * worsening / POINTS_PER_SD
        hazard: Floats = expit(odds)
        return hazard
