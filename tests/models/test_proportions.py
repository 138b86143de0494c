"""Proportions from noised counts: statsmodels' numbers without noise, honest intervals with it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from cairn_models.proportions import Cells, difference, least_count, proportion, ratio, variances
from cairn_models.rates_table import RatesTable
from cairn_models.reliable_change import COURSES, OUTCOMES

# ε = 1 at δ = 1e-6; ten clinics answer, six are honest: each adds σ²/6.
NOISE_SD = 4.2 * np.sqrt(10 / 6)
# Shares of the nine courses in two arms: roughly guided self-help, and people waiting.
GUIDED = np.array([0.02, 0.09, 0.04, 0.05, 0.27, 0.17, 0.005, 0.055, 0.30])
WAITING = np.array([0.03, 0.10, 0.03, 0.09, 0.38, 0.12, 0.005, 0.075, 0.17])
TABLE = RatesTable(2, 1, tuple(OUTCOMES.values()))


def exact(having, n, **more):
    return proportion(
        np.array(float(having)), np.array(float(n - having)), (1, 1), noise_sd=0.0, fewest=1, **more
    )


@pytest.mark.parametrize(("x", "n"), [(0, 12), (1, 30), (17, 40), (300, 1000), (25, 25)])
def test_without_noise_a_rate_is_wilsons(x, n):
    p = exact(x, n)
    low, high = proportion_confint(x, n, method="wilson")
    np.testing.assert_allclose([p.value, p.low, p.high], [x / n, low, high], atol=1e-12)


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_without_noise_contrasts_are_newcombes_and_katz(n, m, data):
    x, y = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    one, other = exact(x, n), exact(y, m)
    found = difference(one, other)
    ends = confint_proportions_2indep(x, n, y, m, method="newcomb", compare="diff")
    np.testing.assert_allclose([found.low, found.high], ends, atol=1e-9)
    times = ratio(one, other)
    assert bool(times.readable) == (min(x, y) >= 5)
    if times.readable:
        ends = confint_proportions_2indep(x, n, y, m, method="log", compare="ratio")
        np.testing.assert_allclose([times.low, times.high], ends, rtol=1e-9)


@pytest.mark.parametrize("having", [0.0, 3.0, 60.0, 199.0, 280.0, 300.0])
@pytest.mark.parametrize("cells", [(3, 6), (1, 1), (2, 4), (3, 6, -2.5), (1, 2, 0.8)])
def test_with_noise_the_interval_ends_where_a_test_begins_to_refuse(having, cells):
    sd, n, (a, b, c) = 5.0, 300.0, Cells(*cells)
    found = proportion(np.array(having), np.array(n - having), cells, noise_sd=sd, fewest=10)

    def z(p):
        """A − pN in its own standard deviations, from the definition."""
        noise = sd**2 * ((1 - p) ** 2 * a + p**2 * b - 2 * p * (1 - p) * c)
        return abs(having - p * n) / np.sqrt(n * p * (1 - p) + noise)

    for end, edge in ((float(found.low), 0.0), (float(found.high), 1.0)):
        assert z(end) == pytest.approx(1.959964, abs=1e-5) or (end == edge and z(end) < 1.96)
    assert z(float(found.value)) == 0.0


def test_a_sum_over_levels_carries_the_noise_of_each():
    table = RatesTable(2, 3, tuple(OUTCOMES.values()))
    rng = np.random.default_rng(6)
    flat = np.full(table.length, 40.0)
    noised = flat + NOISE_SD * rng.standard_normal((4000, table.length))
    for outcome in table.outcomes:
        for group in ({"arm": 1}, {"level": 2}, {"arm": 0, "level": 1}):
            found = table.proportion(noised, outcome, noise_sd=NOISE_SD, fewest=10, **group)
            assert np.mean(found.noise) == pytest.approx(np.var(found.value), rel=0.1)


def simulate(shares, people, studies, seed, noise_sd=NOISE_SD, table=TABLE):
    """(studies, length) noised totals of multinomial tables, one row of shares an arm."""
    rng = np.random.default_rng(seed)
    arms = []
    for share in shares:
        told = rng.multinomial(people, share, size=studies)
        cells = np.zeros((studies, table.cells))
        np.add.at(cells.T, table.place[table.place >= 0], told.T[table.place >= 0])
        arms.append(cells @ table.shaping.seen.T)
    total = np.concatenate(arms, axis=1)
    return total + noise_sd * rng.standard_normal(total.shape)


def truth(outcome, share):
    return share[outcome.having & outcome.counted].sum() / share[outcome.counted].sum()


def contrasts(totals, outcome, noise_sd, table=TABLE):
    rates = [
        table.proportion(totals, outcome, noise_sd=noise_sd, fewest=10, arm=arm) for arm in (0, 1)
    ]
    return rates, difference(rates[1], rates[0]), ratio(rates[1], rates[0])


def covered(found, true):
    """Share of the readable studies whose interval holds the truth."""
    inside = (found.low <= true) & (true <= found.high)
    return float(inside[found.readable].mean()), float(found.readable.mean())


def coverage(people, studies, seed=7, noise_sd=NOISE_SD, judged=NOISE_SD):
    """Outcome → coverage of rate, difference and ratio, where the latter is told as a rule."""
    totals = simulate((WAITING, GUIDED), people // 2, studies, seed, noise_sd)
    result = {}
    for name, outcome in OUTCOMES.items():
        rates, gap, times = contrasts(totals, outcome, judged)
        p, q = truth(outcome, WAITING), truth(outcome, GUIDED)
        found = {"rate": covered(rates[1], q), "difference": covered(gap, q - p)}
        ratio_found = covered(times, q / p)
        if ratio_found[1] > 0.99:
            found["ratio"] = ratio_found
        result[name] = found
    return result


@pytest.mark.parametrize("people", [1000, 3000])
def test_intervals_cover_95_of_100_studies_with_noise(people):
    """Of 300 studies; the binomial band around 95 % at four standard errors is ± 5 %."""
    for name, found in coverage(people, 300).items():
        for what, (share, told) in found.items():
            assert told == 1.0 or what == "ratio"
            assert 0.90 <= share <= 0.995, (name, what, share)


@pytest.mark.soak
@pytest.mark.parametrize("people", [1000, 3000])
def test_intervals_cover_between_93_and_97_of_100_in_20000_studies(people):
    for name, found in coverage(people, 20_000, seed=11).items():
        for what, (share, _) in found.items():
            assert 0.93 <= share <= 0.97, (name, what, share)


def test_an_interval_that_forgets_the_noise_covers_too_little():
    naive = coverage(1000, 1000, judged=0.0)["reliable_deterioration"]["difference"][0]
    assert naive < 0.89
    assert coverage(1000, 1000)["reliable_deterioration"]["difference"][0] > 0.93


@pytest.mark.parametrize(("people", "most"), [(1000, 0.40), (3000, 0.15)])
@pytest.mark.parametrize("name", OUTCOMES)
def test_the_noise_widens_each_of_four_differences_as_planned(people, most, name):
    outcome = OUTCOMES[name]
    spread = {
        sd: np.std(
            contrasts(simulate((WAITING, GUIDED), people // 2, 3000, 3, sd), outcome, sd)[1].value
        )
        for sd in (0.0, NOISE_SD)
    }
    inflation = spread[NOISE_SD] / spread[0.0] - 1
    cells = TABLE.noise_in(outcome)
    sampling, noise = (
        sum(v)
        for v in zip(
            *(
                variances(np.array(truth(outcome, s)), np.array(people / 2), cells, NOISE_SD)
                for s in (WAITING, GUIDED)
            ),
            strict=True,
        )
    )
    assert inflation == pytest.approx(np.sqrt(1 + noise / sampling) - 1, abs=0.05)
    assert inflation < most


def noise_alone(table, outcome):
    """Standard deviation that the noise gives a difference at the typical rate, 1,500 an arm."""
    p, n = np.array(outcome.typical), np.array(1500.0)
    return float(np.sqrt(2 * variances(p, n, table.noise_in(outcome), NOISE_SD)[1]))


def test_one_outcome_alone_is_told_through_less_noise():
    for outcome in TABLE.outcomes:
        few = RatesTable(2, 1, (outcome,))
        assert (TABLE.cells, few.cells) == (9, 2)
        assert noise_alone(few, outcome) < 0.95 * noise_alone(TABLE, outcome)


def test_shaping_spares_the_worst_of_any_outcomes_asked_together():
    for k in range(1, 5):
        for outcomes in itertools.combinations(OUTCOMES.values(), k):
            shaped, plain = (RatesTable(2, 1, outcomes, shaped=s) for s in (True, False))

            def worst(table):
                return max(
                    noise_alone(table, o) / np.sqrt(o.typical * (1 - o.typical))
                    for o in table.outcomes
                )

            assert worst(shaped) < 1.01 * worst(plain)
            assert np.linalg.norm(shaped.shaping.seen, axis=0).max() <= 1.0
    rare = OUTCOMES["reliable_deterioration"]
    unshaped = RatesTable(2, 1, TABLE.outcomes, shaped=False)
    assert noise_alone(TABLE, rare) < 0.65 * noise_alone(unshaped, rare)


def test_without_noise_the_shaped_table_gives_whole_numbers_back():
    told = np.random.default_rng(1).multinomial(3000, GUIDED).astype(float)
    found = TABLE.shaping.table(TABLE.shaping.seen @ told)
    np.testing.assert_allclose(found, told, rtol=1e-11)


def test_the_noise_share_is_what_the_noise_adds():
    outcome = OUTCOMES["recovery"]
    noisy = contrasts(simulate((WAITING, GUIDED), 500, 4000, 5), outcome, NOISE_SD)[1]
    clean = contrasts(simulate((WAITING, GUIDED), 500, 4000, 5, 0.0), outcome, 0.0)[1]
    share = 1 - np.var(clean.value) / np.var(noisy.value)
    assert np.mean(noisy.noise_share) == pytest.approx(share, abs=0.06)
    assert np.mean(noisy.standard_error) == pytest.approx(np.std(noisy.value), rel=0.06)


def test_a_small_denominator_is_not_readable_and_neither_is_a_rare_ratio():
    assert least_count(10, 9, 0.0) == 10
    assert least_count(10, 9, 5.0) == 45
    few = proportion(np.array(20.0), np.array(24.9), (3, 6), noise_sd=5.0, fewest=10)
    assert not few.readable
    rare = proportion(np.array(25.9), np.array(500.0), (3, 6), noise_sd=5.0, fewest=10)
    usual = proportion(np.array(26.0), np.array(500.0), (3, 6), noise_sd=5.0, fewest=10)
    assert not ratio(usual, rare).readable
    assert not ratio(rare, usual).readable
    assert ratio(usual, usual).readable


@pytest.mark.filterwarnings("error")
@settings(max_examples=200)
@given(
    *(st.floats(-1e6, 1e6) for _ in range(4)),
    st.sampled_from([0.0, 1e-6, 5.0, 1e4]),
    st.sampled_from([1, 10]),
    st.sampled_from([0.0, -2.9, 2.9]),
)
def test_any_noised_counts_give_numbers_within_their_range(a, b, e, d, sd, fewest, c):
    one, other = (
        proportion(np.array(x), np.array(y), Cells(3, 6, c), noise_sd=sd, fewest=fewest)
        for x, y in ((a, b), (e, d))
    )
    assert 0 <= one.low <= one.value <= one.high <= 1
    gap, times = difference(one, other), ratio(one, other)
    assert -1 <= gap.low <= gap.value <= gap.high <= 1
    assert 0 <= times.low <= times.value <= times.high
    assert np.isfinite([gap.standard_error, times.standard_error, times.high]).all()


def test_merged_courses_are_those_that_no_rate_tells_apart():
    for names in (("recovery",), ("reliable_improvement", "reliable_deterioration"), OUTCOMES):
        table = RatesTable(2, 3, tuple(OUTCOMES[n] for n in names))
        for outcome in table.outcomes:
            counted = table.place[outcome.counted]
            assert (counted >= 0).all()
            assert not set(table.having(outcome)) & set(table.lacking(outcome))
        told = {c: [(o.counted[c], o.having[c]) for o in table.outcomes] for c in range(COURSES)}
        for c in range(COURSES):
            for d in range(COURSES):
                if table.place[c] == table.place[d] >= 0:
                    assert told[c] == told[d]
    assert RatesTable(1, 1, (OUTCOMES["recovery"],)).cells == 2
