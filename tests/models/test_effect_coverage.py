"""Whether intervals of g, of change as it was and of strata mean 95 %, noise included.

Studies are simulated at the level of the summed vector: people drawn, coded, summed, noised.
"""

import numpy as np
import pytest

from cairn_models.change_fit import Publicly, fit_changes
from cairn_models.multiplicity import joint_level
from cairn_models.questions.base import SumNoise
from cairn_models.questions.effect_estimates import one_sided
from effect_cohort import ARMS, SITES, question

SIGMA = 4.2  # ε = 1 at δ = 1e-6
SPARE = np.sqrt(10 / 6)  # ten clinics answer, six are honest
STUDIES = 300  # a coverage of 95 % has a standard error of 1 %
EFFECTS = (0.0, -1.5, -2.5)
SITE_EFFECTS = (0.0, 1.0, -1.5)


def people(q, n, studies, rng, *, sd=4.5, slope=-0.3, start=6.0, twins=False):
    """(studies, n) cell, u and q: equal arms, unequal strata, a public line that is a bit off."""
    arms = len(q.arms)
    arm, shape, each = (
        np.arange(n) % arms,
        (studies, n // arms if twins else n),
        arms if twins else 1,
    )

    def draw(values):
        return np.repeat(values, each, axis=1)  # the same people in every arm, or others

    site = draw(rng.choice(3, shape, p=(0.5, 0.3, 0.2))) if len(q.levels) > 1 else 0
    baseline = draw(np.clip(np.round(rng.normal(14.2, start, shape)), 0, 27))
    change = draw(rng.normal(-2.0, sd, shape)) + slope * (baseline - 14.2)
    change = change + np.array(EFFECTS)[arm] + np.array(SITE_EFFECTS)[site]
    predicted = q.predicted(baseline)
    share = np.zeros_like(baseline)
    if q.reach > 0:
        share = np.clip((predicted - q.middle) / q.reach, -1, 1)
    u = np.clip((change - predicted) / q.limit, -1, 1)
    return np.broadcast_to(site * len(q.arms) + arm, u.shape), u, share


def totals(q, n, studies, seed, noise_sd, **scene):
    rng = np.random.default_rng(seed)
    out = np.empty((studies, q.shape.length))
    for first in range(0, studies, 50):
        cells, us, shares = people(q, n, min(50, studies - first), rng, **scene)
        for k, one in enumerate(zip(cells, us, shares, strict=True)):
            out[first + k] = q.coding.rows(*one).sum(axis=0)
    return out + noise_sd * rng.standard_normal(out.shape)


def fits(q, n, seed, noisy=True, studies=STUDIES, **scene):
    noise_sd = SIGMA * q.shape.bound * SPARE if noisy else 0.0
    publicly = Publicly((q.residual_sd / q.limit) ** 2, (q.change_sd / q.limit) ** 2, 10)
    every = totals(q, n, studies, seed, noise_sd, **scene)
    return [fit_changes(t, q.coding, publicly, noise_sd=noise_sd) for t in every]


def truth(q, **scene):
    """The fit of so many people, the same in every arm, that it is the truth."""
    return fits(q, 300_000, 1, noisy=False, studies=1, twins=True, **scene)[0]


def covers(found, true):
    """Share of intervals with the truth inside; none is missing."""
    ends = [interval.ends() for interval in found]
    return float(np.mean([low <= true <= high for low, high in ends]))


SCENES = [
    pytest.param(1000, {}, id="1000"),
    pytest.param(3000, {}, id="3000"),
    pytest.param(1000, {"sd": 6.0, "slope": 0.1}, id="1000, a wide spread and a wrong line"),
    pytest.param(1000, {"sd": 4.0, "slope": -0.5, "start": 4.5}, id="1000, a steep line"),
    pytest.param(3000, {"sd": 3.0, "start": 3.0}, id="3000, a narrow spread"),
]


@pytest.mark.parametrize(("n", "scene"), SCENES)
def test_intervals_of_g_and_of_change_as_it_was_cover(n, scene):
    q, pair = question(), (2, 0)
    true, found = truth(q, **scene), fits(q, n, 5, **scene)
    assert 0.925 <= covers([fit.g(pair) for fit in found], float(true.g(pair).value)) <= 0.975
    plain = float(true.plain.contrast(pair).value)
    assert 0.925 <= covers([fit.plain.contrast(pair) for fit in found], plain) <= 0.975
    main = float(true.adjusted.contrast(pair).value)
    assert 0.925 <= covers([fit.adjusted.contrast(pair) for fit in found], main) <= 0.975


@pytest.mark.parametrize("n", [1000, 3000])
def test_the_error_of_g_is_its_scatter(n):
    q, pair = question(), (2, 0)
    found = [fit.g(pair) for fit in fits(q, n, 6)]
    scatter = np.std([float(g.value) for g in found])
    said = np.mean([float(g.standard_error) for g in found])
    assert said == pytest.approx(scatter, rel=0.1)  # a scatter over 300 studies has 4 %


def test_g_without_adjustment_covers():
    q, pair = question('adjust = "none"'), (2, 0)
    true = float(truth(q).g(pair).value)
    assert 0.925 <= covers([fit.g(pair) for fit in fits(q, 1000, 7)], true) <= 0.975


def test_a_g_that_forgets_the_noise_covers_too_little():
    q, pair = question(), (2, 0)
    publicly = Publicly((q.residual_sd / q.limit) ** 2, (q.change_sd / q.limit) ** 2, 10)
    noise_sd = SIGMA * q.shape.bound * SPARE
    every = totals(q, 600, STUDIES, 8, noise_sd)
    true = float(truth(q).g(pair).value)
    naive = [fit_changes(t, q.coding, publicly, noise_sd=0.0).g(pair) for t in every]
    naive = [g for g in naive if g is not None]  # noise can leave no spread at all
    aware = [fit_changes(t, q.coding, publicly, noise_sd=noise_sd).g(pair) for t in every]
    told = [g for g in aware if g is not None]
    assert len(told) > 0.95 * STUDIES  # in a few the SD of change is lost in the noise, and said so
    assert covers(naive, true) < 0.88
    assert 0.925 <= covers(told, true) <= 0.975


@pytest.mark.parametrize("n", [1000, 3000])
def test_the_stratified_interval_covers(n):
    q = question('strata = "site"\nrandomised = true', arms=ARMS[::2])
    assert q.levels == SITES
    true, found, pair = truth(q), fits(q, n, 9), (1, 0)
    told = [fit for fit in found if fit.comparable(pair)]
    assert len(told) == len(found)
    assert (
        0.925
        <= covers(
            [f.adjusted.contrast(pair) for f in told], float(true.adjusted.contrast(pair).value)
        )
        <= 0.975
    )
    assert 0.925 <= covers([f.g(pair) for f in told], float(true.g(pair).value)) <= 0.975


def test_all_contrasts_hold_together_in_95_of_100_studies():
    q = question('contrasts = "all"')
    true, found = truth(q), fits(q, 1000, 10)

    def held(fit, level):
        pairs = q.pairs
        ends = [fit.adjusted.contrast(p).ends(level) for p in pairs]
        values = [float(true.adjusted.contrast(p).value) for p in pairs]
        return all(low <= v <= high for (low, high), v in zip(ends, values, strict=True))

    level = joint_level(found[0].adjusted.correlation(q.pairs))
    joint = [held(f, level) for f in found]
    assert 0.925 <= np.mean(joint) <= 0.975
    assert np.mean([held(f, 0.95) for f in found]) < 0.92


@pytest.mark.parametrize("n", [1000, 3000])
def test_equivalence_is_said_of_arms_at_the_margin_in_5_of_100_studies(n):
    """The test keeps its size where it is hardest: the true difference is the margin."""
    q, pair = question(), (1, 0)
    margin = abs(float(truth(q).adjusted.contrast(pair).value))
    p = [max(one_sided(f.adjusted.contrast(pair), margin)) for f in fits(q, n, 11)]
    assert np.mean(np.array(p) < 0.05) <= 0.075


def test_what_is_told_beside_the_main_result_costs_it_next_to_nothing():
    """Noise 3 % more, so that the interval is at most half a per cent wider."""
    full, bare = question(), question('adjust = "none"')
    assert full.shape.bound / bare.shape.bound == pytest.approx(1.0315, abs=1e-4)
    for planned, at_most in ((3000, 0.005), (1000, 0.01)):
        n = planned * 0.8 / 3
        sampling = np.sqrt(2 / n) * 4.5
        widths = [
            np.hypot(sampling, np.sqrt(2) * 8 * SIGMA * q.shape.bound * SPARE / n)
            for q in (full, bare)
        ]
        assert widths[0] / widths[1] - 1 < at_most


def test_what_is_planned_is_what_is_found():
    q, pair, n = question(), (2, 0), 720  # 80 of 100 of the planned 900
    foretold = {e.name: e for e in q.expected(SumNoise(SIGMA * q.shape.bound * SPARE))}
    found = fits(q, n, 12, studies=40, slope=-0.36)
    for name, intervals in (
        ("dmhi_guided-waiting", [f.adjusted.contrast(pair) for f in found]),
        ("unadjusted-dmhi_guided-waiting", [f.plain.contrast(pair) for f in found]),
        ("g-dmhi_guided-waiting", [f.g(pair) for f in found]),
    ):
        scale = 1.0 if name.startswith("g-") else q.limit
        said = np.mean([float(i.standard_error) for i in intervals]) * scale
        assert foretold[name].standard_error == pytest.approx(said, rel=0.25), name


def test_small_strata_count_for_less_where_noise_is_large():
    """The weights that least squares takes without noise would give a larger error with it."""
    q, pair = question('strata = "site"\nrandomised = true', arms=ARMS[::2]), (1, 0)
    loud, still = (fits(q, 800, 13, noisy=noisy, studies=1)[0] for noisy in (True, False))
    w, patients = loud.adjusted.weights_of(pair), still.adjusted.weights_of(pair)
    small = slice(-2, None)  # the last stratum holds a fifth of all
    assert abs(w[small]).sum() < abs(patients[small]).sum()
    variance = loud.adjusted.cells.sampling + loud.adjusted.cells.noise
    assert (w**2 * variance).sum() < (patients**2 * variance).sum()
    np.testing.assert_allclose([w.sum(), abs(w).sum()], [0.0, 2.0], atol=1e-9)


def test_the_sd_of_change_is_uncertain_by_sampling_and_by_noise():
    """Its own error is what it scatters by over studies, in either part."""
    q = question()
    for noisy in (True, False):
        found = [fit.spread for fit in fits(q, 2000, 14, noisy=noisy)]
        scatter = np.std([s.variance for s in found])
        assert np.sqrt(np.mean([s.doubt for s in found])) == pytest.approx(scatter, rel=0.15)
