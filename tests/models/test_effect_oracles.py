"""Without noise a contrast equals the textbook's on the pooled data, for any split of clinics."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from scipy.special import gammaln
from statsmodels.formula.api import ols

from cairn_models.questions.base import SumNoise
from cairn_models.questions.effect_answer import answer as answer_of
from effect_cohort import ARMS, asked, cohort, question, total_of

CLINICS = (1, 5, 20)


def residuals(q, people):
    """`people` with r, and with change as it was, by the definitions in words."""
    baseline, change = people["baseline"], people["outcome"] - people["baseline"]
    line = q.line.intercept + q.line.slope * baseline
    r = (change - line).clip(-q.limit, q.limit)
    return pd.DataFrame(people.with_columns(r=r, t=r + line).to_dict(as_series=False))


def near(value):
    return pytest.approx(value, rel=1e-6)


def hedges(difference, sd, degrees):
    exact = gammaln(degrees / 2) - gammaln((degrees - 1) / 2) - 0.5 * math.log(degrees / 2)
    return math.exp(exact) * difference / sd


@pytest.mark.parametrize("clinics", CLINICS)
def test_g_is_the_difference_over_the_pooled_sd_of_change_with_the_exact_correction(clinics):
    q, people = question(), cohort()
    found, _ = asked(q, people, clinics)
    frame = residuals(q, people)
    pooled = math.sqrt(ols("t ~ C(arm)", frame).fit().mse_resid)
    means, errors = frame.groupby("arm")["r"].mean(), frame.groupby("arm")["r"].sem()
    for arm in ARMS[1:]:
        difference, n = means[arm] - means["waiting"], len(frame)
        e = found[f"g-{arm}-waiting"]
        assert e.value == near(hedges(difference, pooled, n - 3))
        of_difference = (errors[arm] ** 2 + errors["waiting"] ** 2) / pooled**2
        factor = e.value * pooled / difference
        variance = of_difference + (difference / pooled) ** 2 / (2 * (n - 3))
        assert e.standard_error == near(factor * math.sqrt(variance))
        assert e.unit == "SD of change"


def test_g_without_adjustment_and_with_two_arms_is_the_textbooks():
    """Hedges 1981: g = J·(x̄₁ − x̄₂)/s_p; its variance 1/n₁ + 1/n₂ + g²/2m if spreads are alike."""
    q = question('adjust = "none"\nwinsorise = 27', arms=ARMS[::2])
    people = cohort().filter(pl.col("arm") != ARMS[1])
    found, _ = asked(q, people)
    x, y = (
        people.filter(pl.col("arm") == a).select(pl.col("outcome") - pl.col("baseline"))
        for a in ARMS[::2]
    )
    x, y = x.to_series().to_numpy(), y.to_series().to_numpy()
    m = len(x) + len(y) - 2
    pooled = math.sqrt(((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / m)
    g = hedges(y.mean() - x.mean(), pooled, m)
    e = found["g-dmhi_guided-waiting"]
    assert e.value == near(g)
    assert g == pytest.approx((1 - 3 / (4 * m - 1)) * (y.mean() - x.mean()) / pooled, rel=1e-5)
    textbook = math.sqrt(1 / len(x) + 1 / len(y) + g**2 / (2 * m))
    assert e.standard_error == pytest.approx(textbook, rel=0.1)
    assert not [name for name in found if name.startswith("unadjusted-")]
    assert "unadjusted for baseline" in found["dmhi_guided-waiting"].label


@pytest.mark.parametrize("clinics", CLINICS)
def test_change_as_it_was_is_least_squares_on_arm(clinics):
    q, people = question(), cohort()
    found, answer = asked(q, people, clinics)
    fit = ols("t ~ C(arm, Treatment('waiting'))", residuals(q, people)).fit()
    for arm in ARMS[1:]:
        name = f"C(arm, Treatment('waiting'))[T.{arm}]"
        low, high = fit.conf_int().loc[name]
        e = found[f"unadjusted-{arm}-waiting"]
        assert (e.value, e.standard_error) == (near(fit.params[name]), near(fit.bse[name]))
        assert (e.low, e.high) == (near(low), near(high))
    by_arm = residuals(q, people).groupby("arm")["t"].mean()
    assert [row[6] for row in answer.tables[0].rows] == [near(by_arm[arm]) for arm in ARMS]


def test_where_nobody_is_winsorised_change_as_it_was_is_plain_change():
    q, people = question("winsorise = 40"), cohort()
    found, _ = asked(q, people)
    frame = residuals(q, people)
    frame["t"] = frame["outcome"] - frame["baseline"]
    means = frame.groupby("arm")["t"].mean()
    e = found["unadjusted-dmhi_guided-waiting"]
    assert e.value == near(means["dmhi_guided"] - means["waiting"])


@pytest.mark.parametrize("clinics", CLINICS)
@pytest.mark.parametrize("arms", [ARMS, ARMS[::2]])
def test_strata_are_least_squares_with_an_effect_for_each_stratum(clinics, arms):
    q = question('strata = "site"\nrandomised = true', arms=arms)
    people = cohort(600).filter(pl.col("arm").is_in(arms))
    found, _ = asked(q, people, clinics)
    frame = residuals(q, people)
    fixed = "C(arm, Treatment('waiting')) + C(site)"
    saturated = ols("r ~ C(arm) * C(site)", frame).fit()
    for what, y, spread in (
        ("", "r", saturated.mse_resid),
        ("unadjusted-", "t", ols("t ~ C(arm) * C(site)", frame).fit().mse_resid),
    ):
        fit = ols(f"{y} ~ {fixed}", frame).fit()
        for arm in arms[1:]:
            name = f"C(arm, Treatment('waiting'))[T.{arm}]"
            e = found[f"{what}{arm}-waiting"]
            # the coefficient of the additive model; its error from the spread within cells
            error = fit.bse[name] * math.sqrt(spread / fit.mse_resid)
            reach = stats.t.ppf(0.975, saturated.df_resid) * error
            assert (e.value, e.standard_error) == (near(fit.params[name]), near(error))
            assert (e.low, e.high) == (near(e.value - reach), near(e.value + reach))
    g = found[f"g-{arms[-1]}-waiting"]
    main = found[f"{arms[-1]}-waiting"].value
    within = ols("t ~ C(arm) * C(site)", frame).fit()
    assert g.value == near(hedges(main, math.sqrt(within.mse_resid), within.df_resid))


def test_strata_of_two_arms_weigh_by_the_harmonic_mean():
    q = question('strata = "site"\nrandomised = true', arms=ARMS[::2])
    people = cohort(600).filter(pl.col("arm") != ARMS[1])
    found, _ = asked(q, people)
    frame = residuals(q, people)
    top = bottom = 0.0
    for _, part in frame.groupby("site"):
        x, y = (part[part["arm"] == a]["r"] for a in ARMS[::2])
        weight = len(x) * len(y) / (len(x) + len(y))
        top, bottom = top + weight * (y.mean() - x.mean()), bottom + weight
    assert found["dmhi_guided-waiting"].value == near(top / bottom)


def test_a_stratum_without_one_arm_is_left_out_and_only_counted_where_it_is_a_place():
    q = question('strata = "site"\nrandomised = true', arms=ARMS[::2])
    people = cohort(600).filter(
        (pl.col("arm") != ARMS[1]) & ~((pl.col("arm") == ARMS[2]) & (pl.col("site") == "east"))
    )
    found, answer = asked(q, people)
    without, _ = asked(q, people.filter(pl.col("site") != "east"))
    name = "dmhi_guided-waiting"
    assert found[name].value == near(without[name].value)
    assert any("in 1 of 3 strata" in note for note in answer.notes)
    assert not any("strata: " in note for note in answer.notes)
    named = replace(q.frame, strata="region", fewest_strata=0)
    notes = answer_of(named, q.fit(total_of(q, people), SumNoise(0.0))).notes
    assert any("in these strata: east" in note for note in notes)


def test_strata_that_are_clinics_are_told_only_where_enough_of_them_have_both_arms():
    """What two of three are left of would be, but for its own people, what one clinic knows."""
    q = question('strata = "site"\nrandomised = true', arms=ARMS[::2], clinics=3)
    people = cohort(600).filter(pl.col("arm") != ARMS[1])
    found, _ = asked(q, people)
    assert all(e.value is not None for e in found.values())
    alone = people.filter((pl.col("site") != "east") | (pl.col("arm") == "waiting"))
    found, answer = asked(q, alone)
    assert found["dmhi_guided-waiting"].value is None
    assert found["change-dmhi_guided"].value is None
    assert found["change-waiting"].value is not None
    assert any("told from 3 strata on" in note for note in answer.notes)
    found, answer = asked(q, people.filter(pl.col("site") == "north"))
    assert all(e.value is None for e in found.values())
    assert not any("points here" in note for note in answer.notes)  # nor the SD of change


def test_arms_that_share_no_stratum_are_not_compared():
    q = question('strata = "site"\nrandomised = true', arms=ARMS[::2])
    apart = (pl.col("arm") == "waiting") == (pl.col("site") == "north")
    found, answer = asked(q, cohort(600).filter((pl.col("arm") != ARMS[1]) & apart))
    assert "in no stratum" in found["dmhi_guided-waiting"].suppressed
    assert found["change-waiting"].value is not None
    assert answer.sentences[0].startswith("Nothing can be said about")


def test_a_stratum_that_the_study_does_not_list_counts_for_nobody():
    q = question('strata = "site"\nrandomised = true')
    people = cohort(300)
    strangers = people.head(60).with_columns(
        patient=pl.col("patient") + "x", site=pl.lit("elsewhere")
    )
    np.testing.assert_array_equal(total_of(q, pl.concat([people, strangers])), total_of(q, people))


@pytest.mark.parametrize("margin", [1.0, 3.0])
def test_two_one_sided_tests_are_the_textbooks(margin):
    q, people = question(f"margin = {margin}"), cohort()
    found, answer = asked(q, people)
    frame = residuals(q, people)
    table = next(t for t in answer.tables if t.title.startswith("Equivalence"))
    for arm, row in zip(ARMS[1:], table.rows, strict=True):
        x, y = (frame[frame["arm"] == a]["r"] for a in (arm, "waiting"))
        above = stats.ttest_ind(x + margin, y, equal_var=False, alternative="greater")
        below = stats.ttest_ind(x - margin, y, equal_var=False, alternative="less")
        low, high = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.90)
        e = found[f"equivalence-{arm}-waiting"]
        assert (e.low, e.high) == (near(low), near(high))
        larger = max(above.pvalue, below.pvalue)
        assert row[6] == (f"{larger:.3f}" if larger >= 0.001 else "< 0.001")
        assert row[7] == ("shown" if larger < 0.05 else "not shown")
        assert (larger < 0.05) == (-margin < e.low and e.high < margin)


def test_no_margin_no_equivalence():
    found, answer = asked(question(), cohort())
    assert not [n for n in found if n.startswith("equivalence")]
    assert not [t for t in answer.tables if t.title.startswith("Equivalence")]
