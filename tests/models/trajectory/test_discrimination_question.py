"""Discrimination: exact on pooled patients without noise, covering with it, held to a floor."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from cairn_models.answers import Bars, Course, Forest
from cairn_models.questions import build
from cairn_models.questions.base import KeyedSplit, SumNoise
from cairn_models.questions.discrimination import COMMON, RARE
from cairn_models.questions.discrimination_estimates import (
    WIDEST,
    _observed,
    _of,
    estimates_of,
    put_together,
)
from cairn_models.records import Records
from cairn_models.statistics.binned import (
    Binned,
    auc,
    brier,
    foretold_minus_observed,
    net_benefit,
    recalibration,
)
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact
from cairn_models.trajectory.columns import DROPOUTS, HORIZONS, OUTCOMES
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import predict
from cairn_models.trajectory.prediction_table import PredictionTable
from cairn_models.trajectory.targets import targets
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

SILENT = SumNoise(0.0)
Z = 1.959963984540054


def question(outcome: str = "reliable_improvement", asked: str = "", instrument: str = "PHQ-9"):
    study = Study.parse(
        f"""
cairn = 1
name = "synthetic-study"
title = "Synthetic"
synthetic = true
[outcome]
instrument = "{instrument}"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 3000
largest_clinic = 400
[variables.sex]
levels = ["female", "male"]
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 2.0
held_out = 0.6
[[questions]]
name = "asked"
kind = "discrimination"
epsilon = 1.0
model = "course"
outcome = "{outcome}"
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


def pooled_of(clinics):
    tables = ("patients", "scores", "engagement", "wearables")
    return Records(*(pl.concat([getattr(c, t) for c in clinics]) for t in tables))


def vectors(q, records, released):
    state = q.start(released)
    parts = list(q.contributions(q.prepare(records), state))
    return np.concatenate([np.zeros((0, q.shape.length)), *parts])


def by_hand(q, records, released):
    """Patient → (probability, outcome), in a plain loop."""
    weeks = weekly(records, q.instrument)
    split = KeyedSplit(q.study.digest, q.split.share)
    found = predict(released["course/parameters"], weeks.features)
    told, asked = targets(weeks, q.instrument), q.settings
    people = {}
    for i, patient in enumerate(weeks.patients):
        if not split.is_held_out(patient):
            continue
        for week in range(asked.anchor, asked.anchor + asked.within + 1):
            if asked.outcome in DROPOUTS:
                k = (i, week, DROPOUTS.index(asked.outcome))
                known, p, y = told.dropout_known[k], found.dropout[k], told.dropout[k]
            else:
                k = (i, week, OUTCOMES.index(asked.outcome), HORIZONS.index(asked.horizon))
                known, p, y = told.outcome_known[k], found.outcome[k], told.outcome[k]
            if known:
                people[patient] = float(p), int(y)
                break
    return people


def rank_area(scores, outcome):
    """The share of pairs that are in order, ties one half."""
    one, zero = scores[outcome == 1], scores[outcome == 0]
    gap = one[:, None] - zero[None, :]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))


@pytest.mark.parametrize("split", [1, 5, 20])
@pytest.mark.parametrize("outcome", ["reliable_improvement", "measurement_lost"])
def test_without_noise_all_numbers_are_those_of_the_pooled_patients(
    clinics, released, split, outcome
):
    q = question(outcome)
    groups = [pooled_of(clinics[k::split]) for k in range(split)]
    total = np.sum([vectors(q, g, released).sum(axis=0) for g in groups], axis=0)
    found = {e.name: e for e in q.estimate(q.start(released), total, SILENT).estimates}
    people = by_hand(q, pooled_of(clinics), released)
    p, y = (np.array(v) for v in zip(*people.values(), strict=True))
    assert len(y) > 100
    bin_ = np.searchsorted(q.table.edges, p, side="right")
    middle = q.table.middles[bin_]
    area = found["auc"]
    assert area.value == pytest.approx(rank_area(bin_.astype(float), y), rel=1e-6)
    assert area.count == pytest.approx(len(y), rel=1e-6)
    assert area.noise_share == 0
    assert found["share"].value == pytest.approx(y.mean(), rel=1e-6)
    assert found["brier"].value == pytest.approx(np.mean((middle - y) ** 2), rel=1e-6)
    assert found["brier"].standard_error == pytest.approx(
        np.std((middle - y) ** 2) / np.sqrt(len(y)), rel=1e-6
    )
    assert found["foretold_minus_observed"].value == pytest.approx(np.mean(middle - y), rel=1e-6)
    for k, edge in enumerate(q.table.edges, 1):
        called, odds = bin_ >= k, edge / (1 - edge)
        benefit = np.mean(called * (y - (1 - y) * odds))
        assert found[f"net_benefit-model-{edge:g}"].value == pytest.approx(benefit, abs=1e-9)
        everybody = np.mean(y - (1 - y) * odds)
        assert found[f"net_benefit-all-{edge:g}"].value == pytest.approx(everybody, abs=1e-9)
    design = sm.add_constant(np.log(middle / (1 - middle)))
    fit = sm.Logit(y, design).fit(disp=0, tol=1e-12, cov_type="HC0")
    for name, at in (("calibration_slope", 1), ("calibration_intercept", 0)):
        assert found[name].value == pytest.approx(fit.params[at], rel=1e-5)
        assert found[name].standard_error == pytest.approx(fit.bse[at], rel=1e-5)
    observed = [e for name, e in found.items() if name.startswith("observed-")]
    assert sum(e.count for e in observed) == pytest.approx(len(y), rel=1e-6)
    for e in observed:
        low, high = (float(v) / 100 for v in e.label.split("foretold ")[1][:-2].split(" to "))
        there = (p >= low) & ((p < high) | (high == 1))
        assert e.value == pytest.approx(y[there].mean(), rel=1e-6, abs=1e-9)
        assert e.count == pytest.approx(there.sum(), rel=1e-6)


@pytest.mark.parametrize("rare", [False, True])
@pytest.mark.parametrize("sd", [0.0, 5.5])
def test_bins_stand_together_until_each_can_be_told(rare, sd):
    """Chosen by the noised counts, so the intervals must hold although the noise chose the bins."""
    table = PredictionTable(RARE if rare else COMMON, 0.1 if rare else 0.475)
    truth = np.maximum(table.planned(1.0), 0.0)
    truth[1::2] *= 1.2
    truth /= truth.sum()
    q = question("reliable_deterioration" if rare else "reliable_improvement")
    rng = np.random.default_rng(7 + rare)
    hits, alone, widths = [], 0, []
    for _ in range(300):
        cells = rng.multinomial(600, truth).astype(float)
        seen = table.read(table.shaping.seen @ cells + rng.normal(0, sd, table.cells), sd)
        groups = put_together(seen, 10)
        assert [b for bins in groups for b in bins] == list(range(table.bins))
        for k, bins in enumerate(groups, 1):
            e = _observed(q.frame, seen, k, bins)
            noise, one, zero = _of(seen, bins)[2], np.zeros(table.cells), np.zeros(table.cells)
            one[2 * np.array(bins) + 1] = zero[2 * np.array(bins)] = 1.0
            both, apart = one + zero, one - zero
            assert noise.whole == pytest.approx(both @ seen.covariance @ both)
            assert noise.apart == pytest.approx(apart @ seen.covariance @ apart)
            without, having = (truth[2 * np.array(bins) + y].sum() for y in (0, 1))
            assert e.value is not None
            widths.append(e.high - e.low)
            hits.append(e.low <= having / (having + without) <= e.high)
        alone += len(groups) > 1
    assert 0.93 <= np.mean(hits) <= 0.98
    assert alone > 290, "one bin for everybody tells nothing about reliability"
    assert np.mean(widths) < WIDEST


@pytest.mark.parametrize("turned", [False, True])
def test_nothing_is_told_of_who_had_an_outcome_that_few_had_or_few_had_not(turned):
    """Three of four hundred: neither their number, nor whom the model found."""
    q = question("recovery")
    came = np.arange(400) < 3
    bins = np.arange(400) % q.table.bins
    cells = np.bincount(2 * bins + (came ^ turned), minlength=q.table.cells).astype(float)
    seen = Binned(cells, np.zeros((len(cells), len(cells))))
    assert {e.value for e in estimates_of(q.frame, seen, []).every} == {None}


def test_each_share_of_a_bin_has_enough_people_with_the_outcome_and_without_it():
    """Nobody in the lowest bins had it, three in the uppermost had not: they stand with others."""
    q = question("recovery")
    cells = np.zeros(q.table.cells)
    cells[0::2], cells[1::2] = 50.0, np.arange(q.table.bins) * 10.0
    cells[-2] = 3.0
    found = estimates_of(q.frame, Binned(cells, np.zeros((len(cells), len(cells)))), [])
    assert 1 < len(found.observed) < q.table.bins
    for e in found.observed:
        having = e.value * e.count
        assert having >= 10
        assert e.count - having >= 10
    assert sum(e.count for e in found.observed) == pytest.approx(cells.sum())
    assert found.share.value * cells.sum() == pytest.approx(cells[1::2].sum())


def test_by_a_variable_each_level_has_its_own_area(clinics, released):
    q, records = question(asked='by = "sex"'), pooled_of(clinics)
    total = vectors(q, records, released).sum(axis=0)
    answer = q.estimate(q.start(released), total, SILENT)
    found = {e.name: e for e in answer.estimates}
    people = by_hand(q, records, released)
    sex = dict(zip(records.patients["patient"], records.patients["sex"], strict=True))
    for level in ("female", "male"):
        p, y = np.array([v for k, v in people.items() if sex[k] == level]).T
        bin_ = np.searchsorted(COMMON, p, side="right").astype(float)
        assert found[f"auc-{level}"].value == pytest.approx(rank_area(bin_, y), rel=1e-6)
    assert isinstance(answer.figures[-1], Forest)
    men = records.patients.filter(pl.col("sex") == "male")["patient"]
    women = records.patients.filter(pl.col("sex") == "female")["patient"]
    few = records.only(pl.concat([men.head(12), women]))
    total = vectors(q, few, released).sum(axis=0)
    found = {e.name: e for e in q.estimate(q.start(released), total, SILENT).estimates}
    assert found["auc"].value is not None
    assert found["auc-male"].value is None
    assert found["auc-female"].value is None, "it would follow from the whole"


def test_delong_is_what_the_delta_method_gives():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    bin_ = np.clip(rng.integers(0, 6, 300) + 2 * y, 0, 7)
    table = np.bincount(2 * bin_ + y, minlength=16).astype(float)
    told = auc(Binned(table, np.zeros((16, 16))))
    one, zero = bin_[y == 1].astype(float), bin_[y == 0].astype(float)
    order = (one[:, None] > zero) + 0.5 * (one[:, None] == zero)
    delong = order.mean(axis=1).var() / len(one) + order.mean(axis=0).var() / len(zero)
    assert told.value == pytest.approx(order.mean(), rel=1e-12)
    assert told.sampling == pytest.approx(delong, rel=1e-9)


@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize("make", ["auc", "brier", "gap", "benefit", "slope", "intercept"])
def test_every_gradient_is_that_of_its_value(shaped, make):
    table = PredictionTable(COMMON, 0.45, shaped=shaped)

    def value(x):
        seen = Binned(x, np.zeros((len(x), len(x))))
        match make:
            case "auc":
                return auc(seen)
            case "brier":
                return brier(seen, table.middles)
            case "gap":
                return foretold_minus_observed(seen, table.middles)
            case "benefit":
                return net_benefit(seen, 4, 0.3)
            case "slope":
                return recalibration(seen, table.middles)[0]
        return recalibration(seen, table.middles)[1]

    x = table.planned(500.0) + 3.0
    told = value(x)
    for c in range(len(x)):
        step = np.zeros(len(x))
        step[c] = 1e-4
        slope = (value(x + step).value - value(x - step).value) / 2e-4
        assert slope == pytest.approx(told.gradient[c], rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("rare", [False, True])
@pytest.mark.parametrize(("people", "sd"), [(500, 0.0), (900, 4.2), (1800, 6.0)])
def test_intervals_cover_in_95_of_100_studies(rare, people, sd):
    table = PredictionTable(RARE if rare else COMMON, 0.1 if rare else 0.475)
    truth = np.maximum(table.planned(1.0), 0.0)
    truth[1::2] *= 1.2  # not calibrated
    truth /= truth.sum()
    exact = np.zeros((table.cells, table.cells))
    q = question("reliable_deterioration" if rare else "reliable_improvement")
    right = {e.name: e.value for e in estimates_of(q.frame, Binned(1e7 * truth, exact), []).every}
    rng = np.random.default_rng(people + rare)
    names = ("auc", "share", "brier", "foretold_minus_observed", "calibration_slope")
    middle = f"net_benefit-model-{table.edges[len(table.edges) // 2]:g}"
    hits = {name: [] for name in (*names, middle)}
    for _ in range(800):
        cells = rng.multinomial(people, truth).astype(float)
        sums = table.shaping.seen @ cells + rng.normal(0, sd, table.cells) if sd else cells
        seen = table.read(sums, sd) if sd else Binned(cells, exact)
        found = {e.name: e for e in estimates_of(q.frame, seen, []).every}
        for name, row in hits.items():
            e = found[name]
            if e.value is not None:
                row.append(e.low <= right[name] <= e.high)
    for name, row in hits.items():
        assert len(row) > 700, name
        assert 0.925 <= np.mean(row) <= 0.98, (name, np.mean(row))


def test_shaped_noise_is_less_where_it_is_asked_for_and_no_row_is_longer():
    for edges, rate in ((COMMON, 0.475), (RARE, 0.1)):
        shaped, plain = (PredictionTable(edges, rate, 2, shaped=s) for s in (True, False))
        noise = []
        for table in (shaped, plain):
            rows = table.rows(np.arange(-1, table.length))
            norms = np.linalg.norm(rows, axis=1)
            assert norms[0] == 0
            assert norms.max() <= table.bound
            seen = Binned(
                table.planned(500.0), table.read(np.zeros(table.length), 4.0, 0).covariance
            )
            noise.append(auc(seen).noise)
        assert noise[0] < 0.5 * noise[1]


def test_products_of_noised_sums_are_not_biased():
    """The same noise in both factors of the area's numerator would draw it to one side."""
    table = PredictionTable(RARE, 0.1)
    truth = table.planned(2000.0)
    rng = np.random.default_rng(1)
    sums = table.shaping.seen @ truth
    values = [auc(table.read(sums + rng.normal(0, 8, table.cells), 8.0)).value for _ in range(3000)]
    right = auc(Binned(truth, np.zeros((table.cells, table.cells)))).value
    assert abs(np.mean(values) - right) < 4 * np.std(values) / np.sqrt(3000) + 2e-3


def test_below_the_floor_the_answer_says_that_it_is_missing(clinics, released):
    records = pooled_of(clinics)
    for floor, opens in ((0.6, 1.0), (0.98, 0.0)):
        q = question(asked=f"floor = {floor}")
        total = vectors(q, records, released).sum(axis=0)
        answer = q.estimate(q.start(released), total, SILENT)
        text = " ".join(answer.sentences)
        assert answer.released["may_be_released"].tolist() == [opens]
        assert ("may be released" in text) == bool(opens)
        assert ("said to be missing" in text) != bool(opens)
    nobody = q.estimate(q.start(released), np.zeros(q.shape.length), SumNoise(3.0))
    assert nobody.released["may_be_released"].tolist() == [0.0]
    assert "said to be missing" in nobody.sentences[0]


def test_the_answer_has_its_figures_and_notes(clinics, released):
    q = question()
    total = vectors(q, pooled_of(clinics), released).sum(axis=0)
    answer = q.estimate(q.start(released), total, SumNoise(0.5))
    reliability, decisions = answer.figures
    assert isinstance(reliability, Bars)
    assert isinstance(decisions, Course)
    assert set(decisions.series) == {"model", "everybody", "nobody"}
    assert any("Synthetic" in note for note in answer.notes)
    assert any("research only" in note for note in answer.notes)
    assert answer.to_json()


def test_a_row_alone_is_the_row_among_others(clinics, released):
    q, records = question(asked='by = "sex"'), pooled_of(clinics[:2])
    held = q.prepare(records).weeks.patients
    together = vectors(q, records, released)
    for i, patient in enumerate(held):
        one = records.only(
            records.patients["patient"].filter(records.patients["patient"] == patient)
        )
        assert vectors(q, one, released)[0].tobytes() == together[i].tobytes()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0.0, 3.0, -3.0, 1e6])
def test_whatever_the_sum_no_number_is_not_a_number(released, size):
    q = question(asked='by = "sex"')
    rng = np.random.default_rng(2)
    for total in (np.full(q.shape.length, size), size * rng.normal(size=q.shape.length)):
        for sd in (0.0, 1.0, 50.0):
            answer = q.estimate(q.start(released), total, SumNoise(sd))
            for e in answer.estimates:
                numbers = [v for v in (e.value, e.low, e.high, e.standard_error) if v is not None]
                assert np.isfinite(numbers).all()
                assert bool(numbers) != bool(e.suppressed)


def test_what_a_plan_foretells_is_what_an_answer_has(clinics, released):
    q = question(asked='by = "sex"')
    names = [e.name for e in q.expected(SumNoise(4.0))]
    total = vectors(q, pooled_of(clinics), released).sum(axis=0)
    found = {e.name: e for e in q.estimate(q.start(released), total, SILENT).estimates}
    assert names == ["auc", "auc-female", "auc-male"]
    assert set(names) <= set(found)


@pytest.mark.parametrize(
    "asked",
    ["horizon = 3", "edges = [0.5, 0.2]", "edges = [0.0, 0.5]", "anchor = 20", 'by = "age"'],
)
def test_what_cannot_be_asked_is_refused_with_the_setting(asked):
    with pytest.raises(InputError) as refused:
        question(asked=asked)
    assert asked.split()[0] in refused.value.why


def test_an_outcome_without_thresholds_is_refused():
    with pytest.raises(InputError, match="cannot be asked") as refused:
        question(instrument="WSAS")
    assert "thresholds" in refused.value.why
    assert question("measurement_lost", instrument="WSAS").shape.bound == 1.0
