"""Answers until an event equal statsmodels' on pooled patients, for any split into clinics."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, SCORES, Records
from cairn_privacy.bound import PUBLIC_SCALE, exact_sum
from cairn_protocol.study import Study

DATA = Path(__file__).parents[3] / "shared" / "data"
BTHEB, PUBLISHED = DATA / "btheb" / "BtheB.csv", DATA / "published_checks.json"
ARMS = ("waiting", "dmhi_guided")
ENDS = (1, 2, 3, 4, 6, 8, 10, 12)
EMPTY = np.zeros(0, dtype=np.float32)
LEFT, COMPLETED, LAST_SEEN = 0, 1, 2


def public_question(more, *, kind="retention", arms=ARMS, unit="week", instrument="PHQ-9"):
    listed = ", ".join(f'"{a}"' for a in arms)
    text = f"""
        cairn = 1
        name = "retention"
        title = "Who stays?"
        outcome = {{ instrument = "{instrument}", time_unit = "{unit}" }}
        cohort = {{ arms = [{listed}], planned_patients = 600, largest_clinic = 600 }}
        privacy = {{ data = "public" }}
        [[questions]]
        name = "stay"
        kind = "{kind}"
        {more}
        """
    study = Study.parse(text.encode())
    return build(study.questions[0], study)


def summed(question, clinics):
    """The answer from the exact sums that the door takes of public data."""
    steps = np.zeros(question.shape.length, dtype=np.int64)
    for clinic in clinics:
        rows = question.contributions(question.prepare(clinic), EMPTY)
        steps += exact_sum(rows, question.shape.length)
    return question.estimate(EMPTY, steps / PUBLIC_SCALE, SumNoise(0.0))


def course(n, seed):
    """(arm, time, how) of patients who leave, complete, are last seen, or go on past the end."""
    rng = np.random.default_rng(seed)
    arm = np.arange(n) % 2
    times = (
        np.stack([rng.exponential(s, n) for s in (14, 20, 35)], axis=1)
        * np.where(arm, [[0.7], [1.0]][0], 1.0)[:, None]
    )
    return arm, np.round(times.min(1), 3), times.argmin(1)


def programme_records(arm, time, how):
    names = [f"p{i:04d}" for i in range(len(arm))]
    rows = []
    for name, t, h in zip(names, time, how, strict=True):
        rows += [(name, 3.0, "started", 1.0), (name, 3.0 + t, "logins", 2.0)]
        if h != LAST_SEEN:
            rows.append((name, 3.0 + t, ("stopped", "completed")[h], 1.0))
    return Records(
        pl.DataFrame(
            {"patient": names, "arm": [ARMS[a] for a in arm], "entry": [None] * len(arm)},
            schema=PATIENT_COLUMNS,
        ),
        engagement=pl.DataFrame(rows, schema=ENGAGEMENT, orient="row"),
    )


def on_the_grid(time, how):
    """Times as interval numbers from 1; beyond the last end: last seen after it."""
    place = np.searchsorted(ENDS, time, side="right") + 1
    beyond = place > len(ENDS)
    return place, np.where(beyond, LAST_SEEN, how)


def by_name(answer):
    return {e.name: e for e in answer.estimates}


def split(records, clinics):
    names = records.patients["patient"]
    return [records.only(names[k::clinics]) for k in range(clinics)]


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_the_programme_equals_statsmodels(clinics):
    arm, time, how = course(600, 3)
    question = public_question(f'event = "programme"\nends = {list(ENDS)}')
    answer = by_name(summed(question, split(programme_records(arm, time, how), clinics)))
    for k, name in enumerate(ARMS):
        place, ending = on_the_grid(time[arm == k], how[arm == k])
        left = SurvfuncRight(place, ending == LEFT)
        codes = np.select([ending == LEFT, ending == COMPLETED], [1, 2], 0)
        both = CumIncidenceRight(place, codes)
        hazards = []
        for j, end in enumerate(ENDS):
            at = int(np.searchsorted(left.surv_times, j + 1, side="right")) - 1
            kept = answer[f"kept-{name}-{end}"]
            assert kept.value == pytest.approx(left.surv_prob[at], rel=1e-9)
            assert kept.standard_error == pytest.approx(left.surv_prob_se[at], rel=1e-9)
            assert kept.noise_share == 0.0
            for key, cause in (("left", 0), ("completed", 1)):
                at = int(np.searchsorted(both.times, j + 1, side="right")) - 1
                found = answer[f"{key}-{name}-{end}"]
                assert found.value == pytest.approx(both.cinc[cause][at], rel=1e-9)
                # statsmodels' standard error is another approximation of the same variance
                assert found.standard_error == pytest.approx(both.cinc_se[cause][at], rel=0.02)
            at_risk = (place > j).sum()
            hazards.append(((place == j + 1) & (ending == LEFT)).sum() / at_risk)
            assert answer[f"hazard-{name}-{end}"].value == pytest.approx(hazards[-1])
            assert kept.count == pytest.approx((place > j + 1).sum())
        steps = np.concatenate([[1.0], np.cumprod(1 - np.array(hazards))])
        area = np.trapezoid(steps, [0.0, *ENDS])
        assert answer[f"mean-{name}"].value == pytest.approx(area, rel=1e-9)


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_the_hazard_ratio_is_that_of_a_loop_over_patients(clinics):
    arm, time, how = course(600, 4)
    question = public_question(f'event = "programme"\nends = {list(ENDS)}')
    answer = by_name(summed(question, split(programme_records(arm, time, how), clinics)))
    place, ending = on_the_grid(time, how)
    above = below = 0.0
    for j in range(1, len(ENDS) + 1):
        n = [sum((place >= j) & (arm == k)) for k in (0, 1)]
        d = [sum((place == j) & (ending == LEFT) & (arm == k)) for k in (0, 1)]
        weight = n[0] * n[1] / (n[0] + n[1])
        above -= weight * np.log(1 - d[1] / n[1])
        below -= weight * np.log(1 - d[0] / n[0])
    found = answer["hazard_ratio-dmhi_guided-waiting"]
    assert found.value == pytest.approx(above / below, rel=1e-9)
    # a jackknife over patients knows no delta method
    rest = []
    records = programme_records(arm, time, how)
    (rows,) = question.contributions(question.prepare(records), EMPTY)
    total = rows.sum(axis=0)
    for own in np.unique(rows, axis=0):
        times = int((rows == own).all(axis=1).sum())
        value = by_name(question.estimate(EMPTY, total - own, SumNoise(0.0)))[found.name].value
        rest += [np.log(value)] * times
    n = len(rest)
    spread = np.sqrt((n - 1) / n * np.sum((np.array(rest) - np.mean(rest)) ** 2))
    assert found.standard_error == pytest.approx(found.value * spread, rel=0.01)


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_hazards_are_those_of_a_saturated_discrete_time_logit(clinics):
    """Person-periods with a dummy for each interval in each arm, as textbooks fit them."""
    arm, time, how = course(600, 6)
    question = public_question(f'event = "programme"\nends = {list(ENDS)}')
    answer = by_name(summed(question, split(programme_records(arm, time, how), clinics)))
    place, ending = on_the_grid(time, how)
    periods = [
        (k * len(ENDS) + j, k, j, float(p == j + 1 and h == LEFT))
        for k, p, h in zip(arm, place, ending, strict=True)
        for j in range(min(p, len(ENDS)))
    ]
    slot, of_arm, interval, event = (np.array(column) for column in zip(*periods, strict=True))
    dummies = np.eye(2 * len(ENDS))[slot]
    fit = sm.GLM(event, dummies, family=sm.families.Binomial()).fit(tol=1e-12)
    fitted = fit.get_prediction(np.eye(2 * len(ENDS)))
    for k, name in enumerate(ARMS):
        for j, end in enumerate(ENDS):
            found = answer[f"hazard-{name}-{end}"]
            row = k * len(ENDS) + j
            assert found.value == pytest.approx(fitted.predicted[row], rel=1e-6)
            assert found.standard_error == pytest.approx(fitted.se[row], rel=1e-6)
    # one ratio for all intervals: grouped proportional hazards, by another estimator
    grouped = np.column_stack([np.eye(len(ENDS))[interval], of_arm])
    link = sm.families.links.CLogLog()
    pooled = sm.GLM(event, grouped, family=sm.families.Binomial(link)).fit()
    ratio = answer["hazard_ratio-dmhi_guided-waiting"]
    assert np.log(ratio.value) == pytest.approx(pooled.params[-1], abs=0.2 * pooled.bse[-1])
    assert ratio.standard_error / ratio.value == pytest.approx(pooled.bse[-1], rel=0.05)


def waiting_records(arm, time, how):
    """Of a wait that ends in one of three ways; `how` 0 stepped up, 1 in therapy, 2 lost."""
    names = [f"p{i:04d}" for i in range(len(arm))]
    scores, events = [], []
    for name, t, h in zip(names, time, how, strict=True):
        scores += [(name, 0.0, "PHQ-9", 9.0), (name, t - 1e-6 if h == 2 else 99.0, "PHQ-9", 9.0)]
        if h < 2:
            events.append((name, t, ("stepped_up", "therapy_started")[h], 1.0))
    return Records(
        pl.DataFrame(
            {"patient": names, "arm": [ARMS[a] for a in arm], "entry": [None] * len(arm)},
            schema=PATIENT_COLUMNS,
        ),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        pl.DataFrame(events, schema=ENGAGEMENT, orient="row"),
    )


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_three_ways_to_end_a_wait_equal_statsmodels(clinics):
    arm, time, how = course(600, 8)
    time = np.maximum(time, 0.01)
    question = public_question(
        f'event = "step_up"\nends = {list(ENDS)}\nwindow = 0', kind="time_to_event"
    )
    answer = by_name(summed(question, split(waiting_records(arm, time, how), clinics)))
    place = np.searchsorted(ENDS, time, side="left") + 1
    codes = np.where(place > len(ENDS), 0, how + 1)
    for k, name in enumerate(ARMS):
        oracle = CumIncidenceRight(place[arm == k], codes[arm == k])
        free = SurvfuncRight(place[arm == k], codes[arm == k] > 0)
        for j, end in enumerate(ENDS):
            at = int(np.searchsorted(oracle.times, j + 1, side="right")) - 1
            for cause, key in enumerate(("stepped_up", "therapy_started", "lost")):
                found = answer[f"{key}-{name}-{end}"]
                assert found.value == pytest.approx(oracle.cinc[cause][at], rel=1e-9)
                n = sum(arm == k)  # nobody is censored: a share of all
                p = found.value
                assert found.standard_error == pytest.approx(np.sqrt(p * (1 - p) / n))
            at = int(np.searchsorted(free.surv_times, j + 1, side="right")) - 1
            found = answer[f"untouched-{name}-{end}"]
            assert found.value == pytest.approx(free.surv_prob[at], rel=1e-9)
            assert found.standard_error == pytest.approx(free.surv_prob_se[at], rel=1e-9)


@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_deterioration_equals_statsmodels(clinics):
    rng = np.random.default_rng(5)
    n = 500
    arm, names = np.arange(n) % 2, [f"p{i:04d}" for i in range(n)]
    totals = np.clip(10 + rng.integers(-8, 9, (n, 8)), 0, 27)
    kept = rng.random((n, 8)) < 0.6
    kept[:, 0] = True
    rows = [
        (names[i], float(week), "PHQ-9", float(totals[i, v]))
        for i in range(n)
        for v, week in enumerate((0, 1, 3, 4, 6, 9, 11, 14))
        if kept[i, v]
    ]
    records = Records(
        pl.DataFrame(
            {"patient": names, "arm": [ARMS[a] for a in arm], "entry": [None] * n},
            schema=PATIENT_COLUMNS,
        ),
        pl.DataFrame(rows, schema=SCORES, orient="row"),
    )
    question = public_question(f"ends = {list(ENDS)}", kind="time_to_event")
    answer = by_name(summed(question, split(records, clinics)))
    by_hand = defaultdict(list)
    for i in range(n):
        visits = [(t, v) for name, t, _, v in rows if name == names[i] and t > 0]
        worse = [t for t, v in visits if v - totals[i, 0] >= 6]
        if visits:
            by_hand[ARMS[arm[i]]].append((min(worse) if worse else visits[-1][0], bool(worse)))
    for name, ended in by_hand.items():
        time, event = (np.array(column) for column in zip(*ended, strict=True))
        place = np.searchsorted(ENDS, time, side="left") + 1
        oracle = SurvfuncRight(place, event & (place <= len(ENDS)))
        for j, end in enumerate(ENDS):
            at = int(np.searchsorted(oracle.surv_times, j + 1, side="right")) - 1
            found = answer[f"deteriorated-{name}-{end}"]
            assert found.value == pytest.approx(1 - oracle.surv_prob[at], rel=1e-9)
            assert found.standard_error == pytest.approx(oracle.surv_prob_se[at], rel=1e-9)
            assert found.count == pytest.approx((place > j + 1).sum())


needs_btheb = pytest.mark.skipif(
    not (BTHEB.exists() and PUBLISHED.exists()),
    reason="BtheB.csv (R package HSAUR3, not shipped) is not in ../shared/data/btheb",
)


@needs_btheb
@pytest.mark.parametrize("clinics", [1, 5, 20])
def test_measurement_equals_the_published_retention(clinics):
    published = json.loads(PUBLISHED.read_text())["btheb_retention"]
    visits, frame = published["times"], pd.read_csv(BTHEB)
    columns = dict(zip((0, *visits[1:]), frame.columns[-5:], strict=True))
    names = [f"{i:03d}" for i in range(len(frame))]
    records = Records(
        pl.DataFrame(
            {"patient": names, "arm": frame.treatment.tolist(), "entry": [None] * len(frame)},
            schema=PATIENT_COLUMNS,
        ),
        pl.DataFrame(
            [
                (name, float(month), "BDI-II", float(value))
                for month, column in columns.items()
                for name, value in zip(names, frame[column], strict=True)
                if not np.isnan(value)
            ],
            schema=SCORES,
            orient="row",
        ),
        time_unit="month",
    )
    question = public_question(
        "ends = [2, 3, 5, 8]\nwindow = 0", arms=("TAU", "BtheB"), unit="month", instrument="BDI-II"
    )
    answer = summed(question, split(records, clinics))
    shown = defaultdict(list)
    for arm, _, count, *_ in answer.tables[0].rows:
        shown[arm].append(count)
    assert shown == {arm: published[arm] for arm in ("TAU", "BtheB")}
    for arm in ("TAU", "BtheB"):
        for month, left in zip(visits[1:], published[arm][1:], strict=True):
            kept = by_name(answer)[f"kept-{arm}-{month}"]
            assert kept.value == pytest.approx(left / published[arm][0], rel=1e-9)
