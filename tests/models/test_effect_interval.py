"""Whether the 95 % interval means 95 %, with and without noise; sums are simulated with numpy."""

import numpy as np
import pytest
from scipy import stats

from cairn_models.arm_means import Coding, arm_means, difference
from cairn_models.winsorising import normal_behind, unwinsorised, winsorised_moments

SIGMA, LIMIT = 4.2, 8.0
SPARE = np.sqrt(5 / 4)  # five clinics answer, four are honest: each adds σ²C²/4
PUBLIC_VARIANCE = (4.5 / LIMIT) ** 2


def simulate(coding, sizes, shifts, sd, studies, seed, noise_sd):
    """(studies, length) noised totals of normal residuals in points, winsorised, and the truth."""
    rng = np.random.default_rng(seed)
    slots = np.empty((studies, coding.arms, 3))
    truth = []
    for k, (n, shift) in enumerate(zip(sizes, shifts, strict=True)):
        u = np.clip(rng.normal(shift, sd, (studies, n)) / LIMIT, -1, 1)
        slots[:, k] = np.stack(
            [np.full(studies, coding.count_weight * n), u.sum(1), (1 - u**2).sum(1)], axis=1
        )
        many = np.clip(np.random.default_rng(1).normal(shift, sd, 2_000_000) / LIMIT, -1, 1)
        truth.append(many.mean())
    totals = slots.reshape(studies, -1)
    return totals + rng.standard_normal(totals.shape) * noise_sd, np.array(truth)


def resample(means, coding, *, noise_sd, draws, rng):
    """(draws, length) totals of a parametric bootstrap *with* noise, from one fitted `means`.

    Patients are drawn as normal around the arm's mean with its spread (sums by their first two
    moments), then the noise is added: refitting shows whether an interval means what it says.
    """
    n, m, s = np.where(means.readable, means.count, 0.0), means.mean, means.spread
    first = rng.standard_normal((draws, coding.arms))
    second = rng.standard_normal((draws, coding.arms))
    sum_u = n * m + np.sqrt(n * s) * first
    # u² = m² + 2m·e + e²: the part that moves with Σu, and the part of e² that does not.
    sum_square = n * (m**2 + s) + 2 * m * np.sqrt(n * s) * first + s * np.sqrt(2 * n) * second
    held = np.broadcast_to(n, sum_u.shape)
    slots = np.stack([coding.count_weight * held, sum_u, held - sum_square], axis=-1)
    noise = rng.standard_normal((draws, coding.length)) * noise_sd
    return slots.reshape(draws, coding.length) + noise


def fit(totals, coding, noise_sd):
    return arm_means(totals, coding, noise_sd=noise_sd, public_variance=PUBLIC_VARIANCE, fewest=10)


def coverage(means, truth, arm=2):
    low, high = difference(means, arm, 0).ends()
    true = truth[arm] - truth[0]
    return float(np.mean((low <= true) & (true <= high)))


SCENES = [
    pytest.param(860, (0.8, -1.0, -2.0), 4.5, id="860"),
    pytest.param(3000, (0.8, -1.0, -2.0), 4.5, id="3000"),
    pytest.param(860, (4.0, 0.0, -4.0), 6.0, id="860, a poor public line and a wide spread"),
    pytest.param(300, (0.8, -1.0, -2.0), 4.5, id="300"),
    pytest.param(860, (0.8, -1.0, -2.0), 2.5, id="860, a narrow spread"),
]


@pytest.mark.parametrize(("patients", "shifts", "sd"), SCENES)
def test_the_interval_covers_95_of_100_studies_with_noise(patients, shifts, sd):
    coding = Coding(3, 0.5)
    noise_sd = SIGMA * coding.bound * SPARE
    sizes = (patients // 3,) * 3
    totals, truth = simulate(coding, sizes, shifts, sd, 3000, 11, noise_sd)
    means = fit(totals, coding, noise_sd)
    assert means.readable.all()
    assert 0.93 <= coverage(means, truth) <= 0.97


def test_an_interval_that_forgets_the_noise_covers_too_little():
    coding = Coding(3, 0.5)
    noise_sd = SIGMA * coding.bound * SPARE
    totals, truth = simulate(coding, (100,) * 3, (0.8, -1.0, -2.0), 4.5, 3000, 12, noise_sd)
    assert coverage(fit(totals, coding, 0.0), truth) < 0.88
    assert 0.93 <= coverage(fit(totals, coding, noise_sd), truth) <= 0.97


def scatter(coding, per_arm, noise_sd, seed=5):
    """Standard deviation over studies of the difference of two arms, in points."""
    totals, _ = simulate(coding, (per_arm,) * 2, (0.8, -2.0), 4.5, 4000, seed, noise_sd)
    return float(np.std(difference(fit(totals, coding, noise_sd), 1, 0).value)) * LIMIT


@pytest.mark.parametrize(("patients", "at_most", "plain"), [(1000, 0.14, 0.32), (3000, 0.06, 0.12)])
def test_the_noise_widens_the_interval_less_than_the_plain_vector(patients, at_most, plain):
    coding = Coding(2, 0.5)
    # as in the design's table: six of ten clinics are honest, all ten answer
    noise_sd = SIGMA * coding.bound * np.sqrt(10 / 6)
    inflation = scatter(coding, patients // 2, noise_sd) / scatter(coding, patients // 2, 0.0) - 1
    assert inflation < at_most < plain


@pytest.mark.parametrize("weight", [0.25, 1.0, 2.0])
def test_the_count_weight_is_near_its_best(weight):
    def noise_variance(a, mean):
        coding = Coding(1, a)
        slots = np.array([[a * 1000, mean * 1000, (1 - 0.3 - mean**2) * 1000]])
        return float(fit(slots, coding, coding.bound).noise[0, 0])

    for mean in (0.1, 0.2, 0.3, 0.4):
        least = noise_variance(np.sqrt(mean), mean)
        assert noise_variance(0.5, mean) <= 1.10 * least
    assert noise_variance(0.5, 0.2) < noise_variance(weight, 0.2)


def test_a_parametric_bootstrap_with_noise_agrees_with_the_interval():
    coding = Coding(3, 0.5)
    noise_sd = SIGMA * coding.bound * SPARE
    totals, _ = simulate(coding, (250,) * 3, (0.8, -1.0, -2.0), 4.5, 1, 4, noise_sd)
    fitted = fit(totals[0], coding, noise_sd)
    rng = np.random.default_rng(8)
    again = fit(resample(fitted, coding, noise_sd=noise_sd, draws=4000, rng=rng), coding, noise_sd)
    low, high = difference(fitted, 2, 0).ends()
    spread = difference(again, 2, 0).value - difference(fitted, 2, 0).value
    ends = np.quantile(spread, [0.025, 0.975]) + difference(fitted, 2, 0).value
    np.testing.assert_allclose(ends, [low, high], atol=0.08 * float(high - low))


def test_the_noise_share_is_what_the_noise_adds():
    coding = Coding(2, 0.5)
    noise_sd = SIGMA * coding.bound * SPARE
    totals, _ = simulate(coding, (200,) * 2, (0.8, -2.0), 4.5, 4000, 7, noise_sd)
    bare, _ = simulate(coding, (200,) * 2, (0.8, -2.0), 4.5, 4000, 7, 0.0)
    value = difference(fit(totals, coding, noise_sd), 1, 0).value
    clean = difference(fit(bare, coding, 0.0), 1, 0).value
    share = 1 - np.var(clean) / np.var(value)
    said = np.mean(difference(fit(totals, coding, noise_sd), 1, 0).noise_share)
    assert said == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 0.3), (0.4, 0.6), (-0.5, 0.75), (0.9, 0.2)])
def test_the_normal_law_behind_winsorised_moments_is_found(mean, sd):
    z = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    u = np.clip(mean + sd * z, -1, 1)
    first, second, slopes = winsorised_moments(np.array(mean), np.array(sd))
    assert first == pytest.approx(u.mean(), abs=1e-5)
    assert second == pytest.approx((u**2).mean(), abs=1e-5)
    step = 1e-6
    for place, (m, s) in enumerate([(step, 0), (0, step)]):
        up = winsorised_moments(np.array(mean + m), np.array(sd + s))
        assert slopes[place] == pytest.approx((up[0] - first) / step, abs=1e-4)
        assert slopes[2 + place] == pytest.approx((up[1] - second) / step, abs=1e-4)
    law = normal_behind(first, second)
    assert law.found
    assert law.mean == pytest.approx(mean, abs=1e-6)
    assert law.sd == pytest.approx(sd, abs=1e-6)


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize(("patients", "shifts", "sd"), SCENES)
def test_without_winsorising_the_interval_covers_the_plain_difference(patients, shifts, sd, noisy):
    coding = Coding(3, 0.5)
    noise_sd = SIGMA * coding.bound * SPARE if noisy else 0.0
    totals, _ = simulate(coding, (patients // 3,) * 3, shifts, sd, 3000, 21, noise_sd)
    full = unwinsorised(fit(totals, coding, noise_sd), coding, noise_sd=noise_sd)
    assert full.readable.mean() > 0.999
    assert 0.93 <= coverage(full, np.array(shifts) / LIMIT) <= 0.97


def test_an_arm_all_at_the_limit_has_no_law_behind_it():
    coding = Coding(2, 0.5)
    rows = coding.rows(np.array([0, 1]).repeat(50), np.ones(100))
    full = unwinsorised(fit(rows.sum(axis=0), coding, 0.0), coding, noise_sd=0.0)
    assert not full.readable.any()
    assert np.isfinite([full.mean, full.sampling, full.noise]).all()
