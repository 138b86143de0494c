"""Do the intervals of a description hold the truth in 95 of 100 studies, with the noise in them?"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from scipy import stats

from cairn_models.answers import Estimate
from cairn_models.arm_means import mean_of
from cairn_models.description.blocks import Cells
from cairn_models.description.counts import Counts
from cairn_models.description.quantiles import Bins, quantile
from cairn_models.description.reading import Reading
from cairn_models.description.told import at, standardised_shares
from cairn_models.proportions import proportion
from cairn_models.questions.describe import Describe
from cairn_models.questions.describe_told import read
from cairn_protocol.study import Study

# ε = 1 at δ = 1e-6; ten clinics answer, six are honest: each adds σ²/6.
NOISE_SD = 4.2 * np.sqrt(10 / 6)
STUDIES = 500
STUDY = b"""
cairn = 1
name = "coverage"
title = "Coverage"
outcome = { instrument = "PHQ-9" }
cohort = { arms = ["waiting", "dmhi_guided"], planned_patients = 3000, largest_clinic = 400 }
variables.sex = { levels = ["female", "male"] }
[[questions]]
name = "who"
kind = "describe"
epsilon = 1
"""
POINTS = np.arange(28)
SCORES = np.array([stats.norm.pdf(POINTS, m, 6.0) for m in (14.0, 15.0)])
SCORES /= SCORES.sum(axis=1, keepdims=True)
STAGES = np.array([[0.1, 0.2, 0.15, 0.55], [0.08, 0.27, 0.2, 0.45]])
SEX = np.array([[0.65, 0.35], [0.6, 0.4]])


def truth() -> dict[str, float]:
    found = {}
    means = SCORES @ POINTS
    spreads = SCORES @ POINTS**2 - means**2
    for k, arm in enumerate(("waiting", "dmhi_guided")):
        found[f"baseline-mean-{arm}"] = means[k]
        found[f"baseline-sd-{arm}"] = np.sqrt(spreads[k])
        found[f"funnel-week-8-{arm}"] = STAGES[k, 3]
        found[f"funnel-week-4-{arm}"] = STAGES[k, 2:].sum()
        found[f"sex-female-{arm}"] = SEX[k, 0]
        for name, q in (("lower-quartile", 0.25), ("median", 0.5), ("upper-quartile", 0.75)):
            at = np.searchsorted(SCORES[k].cumsum(), q)
            found[f"baseline-{name}-{arm}"] = float(POINTS[at])
    pair = "standardised-dmhi_guided-waiting"
    found[f"baseline-{pair}"] = (means[1] - means[0]) / np.sqrt(spreads.mean())
    p, r = SEX[1, 0], SEX[0, 0]
    found[f"sex-female-{pair}"] = (p - r) / np.sqrt((p * (1 - p) + r * (1 - r)) / 2)
    return found


def simulated(question: Describe, people: int, rng: np.random.Generator) -> np.ndarray:
    """The noised sum of one study with `people` in each arm."""
    scores = rng.multinomial([people] * 2, SCORES)
    u = (POINTS - 13.5) / 13.5
    score = np.stack([0.5 * scores.sum(axis=1), scores @ u, scores @ (1 - u**2)], axis=1)
    sums = {
        "baseline": score,
        "funnel": rng.multinomial([people] * 2, STAGES),
        "sex": rng.multinomial([people] * 2, SEX),
        "quartiles": scores,
    }
    layout = question.layout
    parts = []
    for block in layout.blocks:
        own = sums[block.name]
        if isinstance(block, Cells):
            own = own @ block.seen.seen.T
        parts.append(layout.scale(block) * own.ravel())
    total = np.concatenate(parts)
    return total + NOISE_SD * rng.standard_normal(len(total))


@pytest.mark.parametrize("people", [500, 1500])
def test_intervals_hold_the_truth_in_95_of_100_studies(people: int) -> None:
    study = Study.parse(STUDY)
    question = Describe(study.questions[0], study)
    rng, held, true = np.random.default_rng(people), defaultdict(list), truth()
    for _ in range(STUDIES):
        noised = simulated(question, people, rng)
        for e in read(Reading(question.frame, noised, NOISE_SD)):
            if e.name in true and e.low is not None and e.high is not None:
                held[e.name].append(e.low <= true[e.name] <= e.high)
    assert set(held) == set(true)
    for name, told in held.items():
        cover = np.mean(told)
        assert len(told) > 0.9 * STUDIES, name
        # 500 studies: 95 ± 1.0 (one standard error); quartiles hold more, since scores have steps
        assert cover > 0.915, name
        assert cover < 0.985 or "quartile" in name or "median" in name, name


def test_a_mean_forgets_the_truth_where_the_noise_is_forgotten() -> None:
    study = Study.parse(STUDY)
    question = Describe(study.questions[0], study)
    rng, block = np.random.default_rng(1), question.layout.blocks[0]
    totals = np.array([simulated(question, 500, rng) for _ in range(2000)])
    sums = question.layout.sums(totals, block)
    true = (truth()["baseline-mean-waiting"] - 13.5) / 13.5
    cover = []
    for sd in (question.layout.noise_sd(block, NOISE_SD), 0.0):
        low, high = mean_of(block.means(sums, noise_sd=sd, fewest=10.0), 0).ends()
        cover.append(np.mean((low <= true) & (true <= high)))
    assert 0.935 < cover[0] < 0.965
    assert cover[1] < 0.85


@pytest.mark.parametrize("sd", [0.0, 8.0])
def test_a_large_standardised_difference_of_shares_scatters_as_its_error_says(sd: float) -> None:
    rng, n, draws = np.random.default_rng(5), 400, 3000
    found = []
    for share in (0.92, 0.35):
        true = rng.binomial(n, share, draws)
        having, lacking = (x + sd * rng.standard_normal(draws) for x in (true, n - true))
        found.append(proportion(having, lacking, (1, 1), noise_sd=sd, fewest=10.0))
    told = [
        standardised_shares(Estimate("d", "d", None), at(found[0], k), at(found[1], k))
        for k in range(draws)
    ]
    scatter = np.std([e.value for e in told])
    assert np.median([e.standard_error for e in told]) == pytest.approx(scatter, rel=0.06)


@pytest.mark.parametrize("q", [0.25, 0.5, 0.75])
def test_quartiles_hold_the_truth_with_little_noise_and_with_much(q: float) -> None:
    rng, bins = np.random.default_rng(3), Bins.over(0.0, 27.0)
    true = POINTS[np.searchsorted(SCORES[0].cumsum(), q)]
    for sd in (0.0, 10.0, 25.0):
        table = rng.multinomial(1000, SCORES[0], 2000) + sd * rng.standard_normal((2000, 28))
        found = quantile(Counts(table, sd**2 * np.eye(28), 10.0), bins, q)
        held = (found.low <= true) & (true <= found.high)
        assert held.mean() > 0.945
        assert found.readable.mean() > 0.9


@pytest.mark.parametrize(
    ("low", "high", "step", "number"),
    [
        (0, 27, 1, 28),
        (0, 21, 1, 22),
        (0, 63, 3, 22),
        (0, 80, 3, 28),
        (1, 5, 0.2, 21),
        (0, 12, 1, 13),
    ],
)
def test_bins_cover_the_scale_and_are_few(low, high, step, number) -> None:
    bins = Bins.over(low, high)
    assert (bins.step, bins.number) == (pytest.approx(step), number)
    ends = bins.places(np.array([low, high, low - step, high + step, np.nan]))
    assert ends[:2].tolist() == [0, number - 1]
    assert np.isnan(ends[2:]).all()
