"""Calibration: exact on pooled patients without noise, within its bound, and covering with it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from cairn_models.answers import Bars, Forest
from cairn_models.proportions import proportion
from cairn_models.questions import build
from cairn_models.questions.base import KeyedSplit, SumNoise
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact
from cairn_models.trajectory.calibration_sums import (
    BANDS,
    CENTRE,
    FARTHEST,
    HALF,
    ZONES,
    CalibrationSums,
    _spread,
)
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import parameter_count, predict
from cairn_models.trajectory.targets import targets
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.study import Study

SILENT = SumNoise(0.0)
Z = 1.959963984540054


def question(course: str = "held_out = 0.6", asked: str = "", fewest: int = 10):
    study = Study.parse(
        f"""
cairn = 1
name = "synthetic-study"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 3000
largest_clinic = 400
[disclosure]
patients = {fewest}
[variables.sex]
levels = ["female", "male"]
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 2.0
{course}
[[questions]]
name = "asked"
kind = "calibration"
epsilon = 1.0
model = "course"
{asked}
""".encode()
    )
    return build(study.questions[1], study)


@pytest.fixture(scope="module")
def released():
    return {"course/parameters": artefact.read().parameters}


@pytest.fixture(scope="module")
def clinics():
    return generate(World(), [30] * 20, seed=4)


def vectors(q, records, released):
    state = q.start(released)
    parts = list(q.contributions(q.prepare(records), state))
    return np.concatenate([np.zeros((0, q.shape.length)), *parts])


def pooled_of(clinics):
    tables = ("patients", "scores", "engagement", "wearables")
    return Records(*(pl.concat([getattr(c, t) for c in clinics]) for t in tables))


def by_hand(q, records, released, scale, only=None):
    """Shares within bands, whole and by horizon, and points, in plain loops over patients."""
    weeks = weekly(records, q.instrument)
    split = KeyedSplit(q.study.digest, q.split.share)
    sex = dict(zip(records.patients["patient"], records.patients["sex"], strict=True))
    found = predict(released["course/parameters"], weeks.features)
    told = targets(weeks, q.instrument)
    ends = {
        band: [found.quantile(level, scale) for level in ((1 - band) / 2, 1 - (1 - band) / 2)]
        for band in BANDS
    }
    whole, horizons, points = [], {h: [] for h in HORIZONS}, []
    for i, patient in enumerate(weeks.patients):
        if not split.is_held_out(patient) or (only and sex[patient] != only):
            continue
        cells = [(t, h) for t, h in np.argwhere(told.score_known[i, :, scale])]
        if not cells:
            continue
        inside = {}
        for t, h in cells:
            came = told.score[i, t, scale, h]
            row = []
            for band in BANDS:
                low, high = (end[i, t, h] for end in ends[band])
                row.append(low <= came <= high)
            inside[t, h] = row
        whole.append(np.mean(list(inside.values()), axis=0))
        for k, h in enumerate(HORIZONS):
            at = [row for (_, j), row in inside.items() if j == k]
            if at:
                horizons[h].append(np.mean(at, axis=0))
        x = np.mean([np.clip(float(found.median[i, t, scale, h]), 0, 1) for t, h in cells])
        y = np.mean([float(told.score[i, t, scale, h]) for t, h in cells])
        points.append((x, y))
    return np.array(whole), horizons, np.array(points)


@pytest.mark.parametrize("split", [1, 5, 20])
def test_without_noise_all_numbers_are_those_of_the_pooled_patients(clinics, released, split):
    q = question(asked="companion = true\nby_horizon = true")
    groups = [pooled_of(clinics[k::split]) for k in range(split)]
    total = np.sum([vectors(q, g, released).sum(axis=0) for g in groups], axis=0)
    found = {e.name: e for e in q.estimate(q.start(released), total, SILENT).estimates}
    for scale, name in enumerate(("PHQ-9", "GAD-7")):
        whole, horizons, points = by_hand(q, pooled_of(clinics), released, scale)
        n = len(whole)
        assert n > 200
        for b, band in enumerate(BANDS):
            e = found[f"coverage{100 * band:g}-{name}-all"]
            p = whole[:, b].mean()
            assert e.value == pytest.approx(p, rel=1e-6)
            assert e.standard_error == pytest.approx(whole[:, b].std() / np.sqrt(n), rel=1e-6)
            d = whole[:, b].var() / (p * (1 - p))
            wilson = proportion(
                np.array(p * n / d), np.array((1 - p) * n / d), (1, 1), noise_sd=0, fewest=1
            )
            assert (e.low, e.high) == pytest.approx(
                (float(wilson.low), float(wilson.high)), rel=1e-6
            )
            for h, rows in horizons.items():
                at = found[f"coverage{100 * band:g}-{name}-week{h}"]
                assert at.value == pytest.approx(np.mean(rows, axis=0)[b], rel=1e-6)
                assert at.count == pytest.approx(len(rows), rel=1e-6)
        span = 27 if name == "PHQ-9" else 21
        x = np.clip(points[:, 0], CENTRE - HALF, CENTRE + HALF)
        r = np.clip(points[:, 1] - points[:, 0], -FARTHEST, FARTHEST)
        design = np.column_stack([np.ones(n), x])
        (a, tilt), rss, *_ = np.linalg.lstsq(design, r, rcond=None)
        covariance = rss[0] / (n - 2) * np.linalg.inv(design.T @ design)
        slope, intercept, gap = (found[f"{w}-{name}"] for w in ("slope", "intercept", "gap"))
        assert slope.value == pytest.approx(1 + tilt, rel=1e-6)
        assert slope.standard_error == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-6)
        assert intercept.value == pytest.approx(span * a, rel=1e-6)
        assert intercept.standard_error == pytest.approx(span * covariance[0, 0] ** 0.5, rel=1e-6)
        assert gap.value == pytest.approx(span * r.mean(), rel=1e-6)
        assert gap.standard_error == pytest.approx(span * r.std(ddof=1) / np.sqrt(n), rel=1e-6)
        assert slope.noise_share == 0


def test_by_a_variable_each_level_is_that_of_its_people(clinics, released):
    q, records = question(asked='by = "sex"\ncompanion = false'), pooled_of(clinics)
    total = vectors(q, records, released).sum(axis=0)
    found = {e.name: e for e in q.estimate(q.start(released), total, SILENT).estimates}
    for level in ("female", "male"):
        whole, _, _ = by_hand(q, records, released, 0, only=level)
        e = found[f"coverage80-PHQ-9-{level}"]
        assert e.value == pytest.approx(whole[:, 1].mean(), rel=1e-6)
        assert e.count == pytest.approx(len(whole), rel=1e-6)


def test_a_small_level_is_held_back_and_takes_the_other_with_it(clinics, released):
    q = question(asked='by = "sex"\ncompanion = false')
    records = pooled_of(clinics)
    men = records.patients.filter(pl.col("sex") == "male")["patient"]
    women = records.patients.filter(pl.col("sex") == "female")["patient"]
    few = records.only(pl.concat([men.head(12), women]))
    total = vectors(q, few, released).sum(axis=0)
    answer = q.estimate(q.start(released), total, SILENT)
    found = {e.name: e for e in answer.estimates}
    assert found["coverage80-PHQ-9-all"].value is not None
    for level in ("female", "male"):
        for name in (f"coverage80-PHQ-9-{level}", f"slope-PHQ-9-{level}"):
            assert found[name].value is None
            assert found[name].suppressed


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 2),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([0.01, 1.0, 1e300, np.inf, -np.inf, np.nan]),
    st.booleans(),
    st.booleans(),
)
def test_no_patient_is_longer_than_the_bound(seed, scales, horizons, levels, size, line, parted):
    rng = np.random.default_rng(seed)
    sums = CalibrationSums(scales, horizons, levels, line=line, by_horizon=parted)
    zones = rng.integers(0, rng.integers(2, 28), (40, scales, horizons, ZONES))
    zones[rng.random(zones.shape) < rng.random()] = 0
    median, came = (size * rng.normal(size=(40, scales)) for _ in range(2))
    rows = sums.encode(zones, median, came, rng.integers(-1, levels, 40))
    assert np.isfinite(rows).all()
    assert np.linalg.norm(rows, axis=1).max() <= sums.bound


def test_the_bound_is_reached():
    sums = CalibrationSums(1, 1)
    zones = np.array([[[[3, 0, 0, 0]]]])
    rows = sums.encode(zones, np.array([[0.9]]), np.array([[0.5]]), np.array([0]))
    assert np.linalg.norm(rows) == pytest.approx(sums.bound, rel=1e-5)


def test_second_moments_fit_into_what_zones_leave():
    """Of people between zones, searched finely; a little more of them would not fit."""
    share = np.array([(i, j, k, 24 - i - j - k) for i in range(25) for j in range(25 - i)
                      for k in range(25 - i - j)])  # fmt: skip
    rows = _spread(share)
    longest = np.linalg.norm(rows, axis=1).max()
    assert 0.99 < longest <= 1.0
    seen, mixed = rows[:, :ZONES], rows[:, ZONES:]
    two = share[:, 2] * share[:, 3] > 0
    room = 1.0 - (seen[two] ** 2).sum(axis=1)
    assert ((mixed[two] ** 2).sum(axis=1) <= room).all()
    assert (((1.7 * mixed[two]) ** 2).sum(axis=1) > room).any()


def test_noise_spares_what_is_asked():
    """The 80 % band's share has a fifth less noise than from plain zones, at the same bound."""
    sums = CalibrationSums(1, 1, line=False)
    assert sums.bound == 1.0
    p = sums.decode(sums.planned(700.0, 0.28), 5.0, 1).coverage(0, 1)
    plain = 5.0 / 700 * np.sqrt(2 * 0.2**2 + 2 * 0.8**2)
    assert np.sqrt(p.noise) < 0.81 * plain
    assert float(p.value) == pytest.approx(0.8)


def test_a_row_alone_is_the_row_among_others(clinics, released):
    q = question(asked='by = "sex"\ncompanion = true\nby_horizon = true')
    records = pooled_of(clinics[:2])
    held = q.prepare(records).weeks.patients
    together = vectors(q, records, released)
    for i, patient in enumerate(held):
        one = records.only(
            records.patients["patient"].filter(records.patients["patient"] == patient)
        )
        assert vectors(q, one, released)[0].tobytes() == together[i].tobytes()


@pytest.fixture(scope="module")
def rows():
    """Made-up patients: a few cells each, alike within a patient, a slope of 1.15."""
    rng = np.random.default_rng(1)
    n, sums = 60_000, CalibrationSums(1, 3, by_horizon=True)
    own = rng.normal(size=(n, 1, 1)) * 0.6 + rng.normal(size=(n, 3, 4)) * 0.8
    zone = np.searchsorted(ndtri([0.75, 0.9, 0.975]), np.abs(own))  # (n, 3, 4)
    there = rng.random((n, 3, 4)) < 0.5
    zones = np.stack([(there & (zone == z)).sum(axis=2) for z in range(ZONES)], axis=-1)
    x = np.clip(rng.normal(0.4, 0.17, n), 0, 0.9)
    y = x + np.clip(0.15 * (x - 0.4) - 0.01 + rng.normal(0, 0.1, n), -FARTHEST, FARTHEST)
    return sums, sums.encode(zones[:, None], x[:, None], y[:, None], np.zeros(n, dtype=np.int64))


@pytest.mark.parametrize(("people", "sd"), [(900, 0.0), (900, 8.0), (600, 5.0)])
def test_intervals_cover_in_95_of_100_studies(rows, people, sd):
    sums, all_rows = rows
    rng = np.random.default_rng(people)
    true = sums.decode(all_rows.sum(axis=0), 0.0, 1)
    hits = []
    for _ in range(1000):
        total = all_rows[rng.integers(0, len(all_rows), people)].sum(axis=0)
        seen = sums.decode(total + rng.normal(0, sd, sums.length), sd, 10)
        line, right = seen.line(0), true.line(0)
        row = []
        for b in range(len(BANDS)):
            p = seen.coverage(0, b)
            row.append(p.low <= true.coverage(0, b).value <= p.high)
        p = seen.coverage(0, 1, horizon=1)
        row.append(p.low <= true.coverage(0, 1, horizon=1).value <= p.high)
        for what in ("gap", "slope", "intercept"):
            value, sampling, noise = getattr(line, what) or (np.nan, 0.0, 0.0)
            reach = Z * np.sqrt(sampling + noise)
            row.append(value if np.isnan(value) else abs(value - getattr(right, what)[0]) <= reach)
        hits.append(row)
    assert np.isnan(hits).mean() < 0.01, "the noise seldom hides how far medians spread"
    covered = np.nanmean(hits, axis=0)
    assert (covered >= 0.93).all(), covered
    assert (covered <= 0.975).all(), covered


def test_the_answer_tells_wide_bands_from_narrow_ones_and_has_its_figures(clinics, released):
    q = question(asked="companion = false")
    records, state = pooled_of(clinics), q.start(released)
    answer = q.estimate(state, vectors(q, records, released).sum(axis=0), SumNoise(0.5))
    text = " ".join(answer.sentences)
    assert "the bands are" in text
    assert "calibration slope" in text
    assert isinstance(answer.figures[0], Bars)
    assert isinstance(answer.figures[-1], Forest)
    assert answer.figures[-1].no_difference == 1.0
    short = question(asked="line = false")
    told = short.estimate(state, vectors(short, records, released).sum(axis=0), SumNoise(0.5))
    assert {e.name.split("-")[0] for e in told.estimates} == {
        "coverage50",
        "coverage80",
        "coverage95",
    }
    assert "slope" not in json.dumps(told.to_json())
    assert any("Synthetic" in note for note in answer.notes)
    assert any("research only" in note for note in answer.notes)
    assert answer.to_json()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0.0, 3.0, -3.0, 1e6])
def test_whatever_the_sum_no_number_is_not_a_number(released, size):
    q = question(asked='by = "sex"\ncompanion = true\nby_horizon = true')
    rng = np.random.default_rng(2)
    for total in (np.full(q.shape.length, size), size * rng.normal(size=q.shape.length)):
        for sd in (0.0, 1.0, 50.0):
            answer = q.estimate(q.start(released), total, SumNoise(sd))
            for e in answer.estimates:
                numbers = [v for v in (e.value, e.low, e.high, e.standard_error) if v is not None]
                assert np.isfinite(numbers).all()
                assert bool(numbers) != bool(e.suppressed)


def test_what_a_plan_foretells_is_what_an_answer_has(clinics, released):
    q = question(asked="by_horizon = true")
    names = {e.name for e in q.expected(SumNoise(5.0))}
    total = vectors(q, pooled_of(clinics), released).sum(axis=0)
    found = {e.name: e for e in q.estimate(q.start(released), total, SILENT).estimates}
    assert names <= set(found)
    first = q.expected(SumNoise(5.0))[0]
    assert first.name == "coverage80-PHQ-9-all"
    people = found[first.name].count
    likely = found[first.name].standard_error * np.sqrt(people / (q.planned * 0.85))
    assert first.sampling == pytest.approx(likely, rel=0.3)


def test_a_model_is_asked_for_and_must_be_there(released):
    with pytest.raises(InputError, match="does not train"):
        with_model("other")
    with pytest.raises(InputError, match="hold out different"):
        question(asked="held_out = 0.2")
    with pytest.raises(InputError, match="no variable"):
        question(asked='by = "age"')
    bad = np.full(parameter_count(), np.nan, dtype=np.float32)
    for wrong in ({}, {"course/parameters": bad}, {"course/parameters": bad[:3]}):
        with pytest.raises(OurFault, match="before 'course' released"):
            question().start(wrong)


def with_model(name):
    text = question().study.source.decode().replace('model = "course"', f'model = "{name}"')
    study = Study.parse(text.encode())
    return build(study.questions[1], study)
