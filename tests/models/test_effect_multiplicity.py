"""Several contrasts: which they are, and intervals and p values that hold for all together."""

import numpy as np
import pytest
from scipy import stats

from cairn_models.multiplicity import adjusted_p, joint_level
from cairn_models.questions.base import SumNoise
from effect_cohort import ARMS, EMPTY, asked, cohort, question, total_of


def against_one(sizes):
    """Correlation of the differences of all means to the first, one variance."""
    n = np.array(sizes, dtype=float)
    root = np.sqrt(n[1:] / (n[1:] + n[0]))
    out = np.outer(root, root)
    np.fill_diagonal(out, 1.0)
    return out


def all_pairs(k):
    pairs = [(i, j) for i in range(k) for j in range(i)]
    w = np.zeros((len(pairs), k))
    for row, (i, j) in enumerate(pairs):
        w[row, i], w[row, j] = 1.0, -1.0
    return w @ w.T / 2.0


def test_against_one_reference_it_is_dunnetts_procedure():
    rng = np.random.default_rng(1)
    control, *others = (rng.normal(m, 1, n) for m, n in ((0, 400), (0.1, 300), (0.2, 350)))
    dunnett = stats.dunnett(*others, control=control, rng=np.random.default_rng(2))
    sizes = [len(control), *(len(x) for x in others)]
    t = np.abs(dunnett.statistic)
    found = adjusted_p(2 * stats.norm.sf(t), against_one(sizes))
    np.testing.assert_allclose(found, dunnett.pvalue, atol=0.004)


@pytest.mark.parametrize("arms", [3, 4, 7])
def test_over_all_pairs_it_is_tukeys_procedure(arms):
    level = joint_level(all_pairs(arms))
    critical = stats.norm.ppf(0.5 + level / 2)
    tukey = stats.studentized_range.ppf(0.95, arms, np.inf) / np.sqrt(2)
    assert critical == pytest.approx(tukey, rel=0.01)


@pytest.mark.parametrize("comparisons", [1, 2, 5, 15])
def test_independent_comparisons_are_sidaks(comparisons):
    level = joint_level(np.eye(comparisons))
    assert level == pytest.approx(0.95 ** (1 / comparisons), abs=0.001)


def test_an_adjusted_p_lies_between_the_plain_one_and_bonferronis():
    p = np.array([0.9, 0.3, 0.04, 0.003, 1e-5, 1e-12, 0.0, 1.0, 0.5, 0.2])
    found = adjusted_p(p, all_pairs(5))
    assert (found >= p).all()
    assert (found <= np.minimum(len(p) * p, 1.0)).all()
    assert (np.diff(found[np.argsort(p)]) >= 0).all()


def test_all_hold_together_in_95_of_100_studies_and_plain_ones_do_not():
    rng = np.random.default_rng(3)
    z = rng.multivariate_normal(np.zeros(6), all_pairs(4), 4000)
    critical = stats.norm.ppf(0.5 + joint_level(all_pairs(4)) / 2)
    assert np.mean((np.abs(z) < critical).all(axis=1)) == pytest.approx(0.95, abs=0.012)
    assert np.mean((np.abs(z) < 1.96).all(axis=1)) < 0.85


def names(q):
    return [e.name for e in q.expected(SumNoise(1.0)) if e.name.count("-") == 1]


def test_contrasts_are_against_the_reference_unless_others_are_named():
    assert names(question()) == ["dmhi_unguided-waiting", "dmhi_guided-waiting"]
    assert names(question('contrasts = "all"')) == [
        "dmhi_unguided-waiting",
        "dmhi_guided-waiting",
        "dmhi_guided-dmhi_unguided",
    ]
    one = question('contrasts = [["dmhi_guided", "dmhi_unguided"]]')
    assert names(one)[0] == "dmhi_guided-dmhi_unguided"


def test_the_plain_and_the_joint_interval_are_both_told():
    found, answer = asked(question('contrasts = "all"'), cohort())
    table = next(t for t in answer.tables if t.title.startswith("Differences"))
    assert len(table.rows) == 3
    for row in table.rows:
        assert len(row) == len(table.columns)
    for name in ("dmhi_guided-waiting", "dmhi_guided-dmhi_unguided"):
        plain, joint = found[name], found[f"simultaneous-{name}"]
        assert joint.value == plain.value
        assert joint.low < plain.low < plain.high < joint.high
        widened = (joint.high - joint.low) / (plain.high - plain.low)
        assert 1.15 < widened < 1.23  # Tukey 2.34 over 1.96 at most
    one, _ = asked(question('contrasts = [["dmhi_guided", "waiting"]]'), cohort())
    assert not [n for n in one if n.startswith("simultaneous")]
    assert one["dmhi_guided-waiting"].low == found["dmhi_guided-waiting"].low


def test_primary_contrasts_are_marked():
    q = question('contrasts = "all"\nprimary = ["dmhi_guided-dmhi_unguided"]')
    _, answer = asked(q, cohort())
    table = next(t for t in answer.tables if t.title.startswith("Differences"))
    assert [row[1] for row in table.rows] == ["", "", "primary"]


def test_a_suppressed_contrast_is_no_part_of_the_family():
    people = cohort()
    small = people.filter(people["arm"] != ARMS[1])
    found, _ = asked(question('contrasts = "all"'), small)
    joint, plain = found["simultaneous-dmhi_guided-waiting"], found["dmhi_guided-waiting"]
    assert (joint.low, joint.high) == (plain.low, plain.high)
    assert found["simultaneous-dmhi_guided-dmhi_unguided"].value is None


def test_every_result_but_arms_and_the_unwinsorised_is_foretold():
    q = question('contrasts = "all"\nmargin = 2\nstandardise_by = 6')
    answer = q.estimate(EMPTY, total_of(q, cohort()), SumNoise(0.0))
    told = {e.name for e in answer.estimates}
    foretold = {e.name for e in q.expected(SumNoise(5.0))}
    assert foretold == {n for n in told if not n.startswith(("unwinsorised", "change-"))}
