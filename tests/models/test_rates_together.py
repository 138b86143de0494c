"""Intervals of several differences that hold together: as wide as they must be, and no wider."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import dunnett, norm

from cairn_models.multiplicity import joint_level
from cairn_models.proportions import NORMAL_95, Cells, difference, proportion
from cairn_models.proportions_together import differences_together
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.questions.rates import Rates
from cairn_protocol.study import Study

EMPTY = np.zeros(0, dtype=np.float32)
ARMS = ("waiting", "unguided", "guided")
STUDY = """
cairn = 1
name = "together"
title = "Together"
synthetic = true
outcome = { instrument = "PHQ-9" }
cohort = { arms = ["waiting", "unguided", "guided"], planned_patients = 3000, largest_clinic = 400 }
variables.sex = { levels = ["female", "male"] }
[[questions]]
name = "rates"
kind = "rates"
epsilon = 1.0
"""
SHARES = np.array([0.02, 0.09, 0.04, 0.05, 0.27, 0.17, 0.005, 0.055, 0.30])


def question(more: str = "") -> Rates:
    study = Study.parse((STUDY + more).encode())
    built = build(study.questions[0], study)
    assert isinstance(built, Rates)
    return built


def answer(asked: Rates, people: int, noise_sd: float = 5.45, seed: int = 1):
    rng, table = np.random.default_rng(seed), asked.table
    groups = table.arms * table.levels
    told = rng.multinomial(people // groups, SHARES / SHARES.sum(), groups).astype(float)
    cells = np.zeros((groups, table.cells))
    np.add.at(cells.T, table.place[table.place >= 0], told.T[table.place >= 0])
    total = (cells @ table.shaping.seen.T).ravel()
    total += noise_sd * rng.standard_normal(total.shape)
    return asked.estimate(EMPTY, total, SumNoise(noise_sd))


def by_name(found):
    return {e.name: e for e in found.estimates}


def simulated(people, sd, rng):
    """Three groups of one true share, each as (A, B) with noise of variance 1 in either."""
    having = rng.binomial(people, 0.3, 3)
    noise = sd * rng.standard_normal((3, 2))
    return {
        k: (np.array(having[k] + noise[k, 0]), np.array(people - having[k] + noise[k, 1]))
        for k in range(3)
    }


@pytest.mark.parametrize("sd", [0.0, 6.0])
def test_in_95_of_100_studies_all_of_them_hold(sd):
    rng, studies, held = np.random.default_rng(3), 300, [0, 0]
    for _ in range(studies):
        sums = simulated(500, sd, rng)

        def at(group, reach, sums=sums):
            return proportion(*sums[group], Cells(1, 1), noise_sd=sd, fewest=10, reach=reach)

        found = {group: at(group, NORMAL_95) for group in sums}
        joint = differences_together([(1, 0), (2, 0)], found, at)
        alone = [difference(found[k], found[0]) for k in (1, 2)]
        for place, intervals in enumerate((joint.values(), alone)):
            held[place] += all(i.low <= 0.0 <= i.high for i in intervals)
    together, apart = (h / studies for h in held)
    assert 0.91 <= together <= 0.985  # ± 3.8 % at three standard errors
    assert apart < together - 0.01


def test_one_reference_is_dunnetts_and_separate_groups_are_sidaks():
    shared = np.array([[1.0, 0.5], [0.5, 1.0]])
    reach = norm.ppf(0.5 + joint_level(shared) / 2)
    rng = np.random.default_rng(2)
    far = [rng.normal(0, 1, 4000) for _ in range(3)]
    test = dunnett(far[1], far[2], control=far[0])
    span = test.confidence_interval(0.95)
    per_sd = (span.high - span.low) / 2 / (np.sqrt(2 / 4000) * np.std(np.concatenate(far)))
    assert reach == pytest.approx(per_sd.mean(), rel=0.01)
    sums = {k: (np.array(300.0), np.array(700.0)) for k in range(4)}

    def at(group, reach=NORMAL_95):
        return proportion(*sums[group], (1, 1), noise_sd=0.0, fewest=10, reach=reach)

    found = {k: at(k) for k in sums}
    apart = differences_together([(1, 0), (3, 2)], found, at)[1, 0]
    sidak = norm.ppf(0.5 + 0.95**0.5 / 2)
    assert apart.high == pytest.approx(float(difference(at(1, sidak), at(0, sidak)).high), abs=2e-4)


def test_a_comparison_alone_keeps_its_interval():
    sums = {k: (np.array(300.0), np.array(700.0)) for k in range(2)}

    def at(group, reach=NORMAL_95):
        return proportion(*sums[group], (1, 1), noise_sd=5.0, fewest=10, reach=reach)

    found = {k: at(k) for k in sums}
    (one,) = differences_together([(1, 0)], found, at).values()
    assert one == difference(found[1], found[0])
    assert differences_together([], found, at) == {}


def test_an_interval_that_would_not_open_refuses_nothing():
    wide = proportion(np.array(14.0), np.array(5.2), (3, 6), noise_sd=2.13, fewest=1, reach=40.0)
    assert bool(wide.readable)
    assert (float(wide.low), float(wide.high)) == (0.0, 1.0)


def test_each_family_of_comparisons_has_its_own_intervals():
    asked = question('by = "sex"\noutcomes = ["recovery"]')
    found = by_name(answer(asked, 6000))
    pairs = {
        "recovery-simultaneous-guided-waiting": "recovery-difference-guided-waiting",
        "recovery-simultaneous-unguided-waiting-male": "recovery-difference-unguided-waiting-male",
    }
    for joint, alone in pairs.items():
        one, other = found[joint], found[alone]
        assert (one.value, one.standard_error, one.noise_share) == (
            other.value,
            other.standard_error,
            other.noise_share,
        )
        assert one.low < other.low
        assert other.high < one.high
    assert not any("simultaneous_gap" in name for name in found)  # two levels: one gap
    narrow, wide = (found[name] for name in pairs)
    assert (wide.high - wide.low) / wide.standard_error > (
        narrow.high - narrow.low
    ) / narrow.standard_error  # four comparisons, not two


def test_two_arms_have_no_second_interval_and_three_have_words_for_it():
    two = answer(question('arms = ["waiting", "guided"]'), 3000)
    assert not any("simultaneous" in e.name for e in two.estimates)
    three = answer(question(), 3000)
    said = " ".join(three.sentences)
    assert (
        "against people waiting: taken together with all 2 comparisons of arms the interval is"
        in said
    )
    table = next(t for t in three.tables if t.title.startswith("Differences in the share"))
    assert len(table.rows) == 4 * 2
    assert all(row[4] < row[2] and row[3] < row[5] for row in table.rows)


def test_what_is_held_back_stays_so_in_all_of_them():
    asked = question('by = "sex"')
    found = answer(asked, 60, noise_sd=5.0)
    json.dumps(found.to_json(), allow_nan=False)
    for e in found.estimates:
        if "simultaneous" in e.name:
            plain = by_name(found)[e.name.replace("simultaneous", "difference")]
            assert (e.value is None) == (plain.value is None)
            assert e.suppressed == plain.suppressed
