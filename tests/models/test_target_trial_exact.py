"""Without noise every number equals statsmodels' on person-trials that a slow, plain loop made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from cairn_models.records import Records
from trial_cohorts import (
    EFFECT,
    LANDMARK,
    RETENTION,
    SEQUENTIAL,
    answered,
    asked,
    null_cohort,
    split,
)

PROPENSITY = """
[target_trial.propensity]
source = "made up"
[target_trial.propensity.arms.dmhi]
intercept = -0.4
baseline = 0.08
week = -0.1
variables.severe = { yes = 0.7 }
variables.age = 0.01
"""
CLINICS = (1, 5, 20)


@cache
def cohort() -> Records:
    return null_cohort(700, seed=3)


@dataclass(frozen=True)
class Trials:
    """The rules once more, as a person would read them."""

    zeros: tuple[float, ...]
    grace: float

    def frame(self, effect: Any, *, weighted: bool) -> pd.DataFrame:
        """A row a person-trial with a change: person, trial, arm (0, 1), r, overlap weight."""
        held, found = cohort(), []
        every = {name: ({}, {}) for name in held.patients["patient"]}
        for s in held.scores.rows(named=True):
            every[s["patient"]][0][s["time"]] = s["value"]
        for e in held.engagement.rows(named=True):
            every[e["patient"]][1][e["measure"]] = e["time"]
        for row in held.patients.rows(named=True):
            name = row["patient"]
            scores, events = every[name]
            begun = events.get("started") if row["arm"] == "dmhi" else None
            for number, zero in enumerate(self.zeros):
                end = zero + self.grace
                if begun is not None and (begun < 0 if number == 0 else begun <= zero):
                    continue
                if max(scores, default=-1) < end or events.get("therapy_started", np.inf) <= end:
                    continue
                baseline = scores.get(zero, scores.get(zero - 1))
                outcome = next(
                    (scores[zero + w] for w in (8, 7, 9, 6, 10) if zero + w in scores), None
                )
                arm = int(begun is not None and begun <= end)
                weight = 1.0
                if weighted:
                    odds = -0.4 + 0.08 * baseline - 0.1 * zero + 0.01 * row["age"]
                    odds += 0.7 * (row["severe"] == "yes")
                    chance = 1 / (1 + np.exp(-odds))
                    weight = 1 - chance if arm else chance
                r = np.nan
                if outcome is not None:
                    foretold = effect.predicted(np.array(baseline))
                    r = np.clip(outcome - baseline - foretold, -effect.limit, effect.limit)
                found.append((name, number, arm, float(r), weight))
        return pd.DataFrame(found, columns=["person", "trial", "arm", "r", "weight"])


def balanced(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with weights that give both arms the same mix of trials."""
    sums = frame.groupby(["trial", "arm"])["weight"].sum().unstack()
    overlap = 1 / (1 / sums[0] + 1 / sums[1])
    keys = zip(frame["trial"], frame["arm"], strict=True)
    factor = [overlap[k] / sums[a][k] for k, a in keys]
    return frame.assign(weight=frame["weight"] * factor)


DESIGNS = {
    "landmark": (LANDMARK, Trials((0.0,), 4.0)),
    "sequential": (SEQUENTIAL, Trials((0.0, 2.0, 4.0, 6.0), 2.0)),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("design", DESIGNS)
def test_an_effect_is_the_pooled_regression_on_person_trials(design: str, weighted: bool) -> None:
    toml, trials = DESIGNS[design]
    question = asked(EFFECT, toml + PROPENSITY if weighted else toml)
    frame = trials.frame(question.asked, weighted=weighted)  # type: ignore[attr-defined]
    if len(trials.zeros) > 1:
        frame = balanced(frame)
    frame = frame.dropna()
    model = sm.WLS(frame["r"], sm.add_constant(frame["arm"]), weights=frame["weight"])
    oracle = model.fit()
    person = pd.factorize(frame["person"])[0]
    clustered = model.fit(cov_type="cluster", cov_kwds={"groups": person}).bse["arm"]
    for clinics in CLINICS:
        answer, _, _ = answered(question, split(cohort(), clinics))
        found = next(e for e in answer.estimates if e.name == "dmhi-waiting")
        assert found.value == pytest.approx(oracle.params["arm"], rel=1e-6)
        assert found.standard_error is not None
        # clusters' finite-sample factor is G/(G − 1)·(n − 1)/(n − 2), here 1.003
        assert clustered * 0.995 < found.standard_error < 1.7 * clustered


def test_an_unweighted_landmark_s_interval_is_welch_s() -> None:
    toml, trials = DESIGNS["landmark"]
    question = asked(EFFECT, toml)
    frame = trials.frame(question.asked, weighted=False).dropna()  # type: ignore[attr-defined]
    one, other = (DescrStatsW(frame["r"][frame["arm"] == arm]) for arm in (1, 0))
    low, high = CompareMeans(one, other).tconfint_diff(usevar="unequal")
    for clinics in CLINICS:
        answer, _, _ = answered(question, split(cohort(), clinics))
        found = next(e for e in answer.estimates if e.name == "dmhi-waiting")
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)


def test_a_landmark_s_rates_and_curves_are_those_of_the_people_in_it() -> None:
    toml, trials = DESIGNS["landmark"]
    question = asked('kind = "rates"\nscales = ["PHQ-9"]\nbaseline_window = [-1, 0]', toml)
    answer, _, _ = answered(question, split(cohort(), 5))
    effect = asked(EFFECT, toml)
    kept = trials.frame(effect.asked, weighted=False)  # type: ignore[attr-defined]
    assert 100 < len(kept) < len(cohort())
    shown = {e.name: e for e in answer.estimates}
    name = "reliable_improvement-difference-dmhi-waiting"
    improved = [_improved(kept, arm) for arm in (1, 0)]
    low, high = confint_proportions_2indep(
        improved[0][0], improved[0][1], improved[1][0], improved[1][1], method="newcomb"
    )
    assert (shown[name].low, shown[name].high) == pytest.approx((low, high), rel=1e-6)
    curve = asked(RETENTION, toml)
    courses, _, _ = answered(curve, split(cohort(), 5))
    last = scores().reset_index().groupby("patient")["time"].max()
    for arm, word in ((0, "waiting"), (1, "dmhi")):
        people = kept["person"][kept["arm"] == arm]
        share = float((last[people] >= 8).mean())
        told = next(e for e in courses.estimates if e.name == f"kept-{word}-8")
        assert told.value is not None
        assert told.value == pytest.approx(share, rel=1e-6)


@cache
def scores() -> pd.Series[float]:
    """Scores by patient and time."""
    frame = pd.DataFrame(cohort().scores.to_dict(as_series=False))
    return frame.set_index(["patient", "time"])["value"]


def _improved(kept: pd.DataFrame, arm: int) -> tuple[int, int]:
    """How many of an arm improved by 6 points or more, of how many."""
    had = people = 0
    for name in kept["person"][kept["arm"] == arm]:
        own = scores()[name]
        after = next((own[w] for w in (8.0, 7.0, 9.0, 6.0, 10.0) if w in own), None)
        if after is not None:
            people += 1
            had += own[0.0] - after >= 6
    return had, people
