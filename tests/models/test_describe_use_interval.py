"""Do the intervals of uses, waits, outcomes and minutes hold the truth in 95 of 100 studies?"""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import isotonic_regression

from cairn_models.description.minutes import Sums
from cairn_models.description.quantiles import isotonic
from cairn_models.description.reading import Reading
from cairn_models.questions.describe import Describe
from cairn_models.questions.describe_told import read
from cairn_protocol.study import Study

# ε = 1 at δ = 1e-6; ten clinics answer, six are honest: each adds σ²/6.
NOISE_SD = 4.2 * np.sqrt(10 / 6)
STUDIES = 200
ARMS = ("dmhi_unguided", "dmhi_guided")
STUDY = """
cairn = 1
name = "coverage"
title = "Coverage"
outcome = { instrument = "PHQ-9" }
cohort = { arms = ["dmhi_unguided", "dmhi_guided"], planned_patients = 3000, largest_clinic = 400 }
[[questions]]
name = "who"
kind = "describe"
epsilon = 1
weeks = [8]
parts = PARTS
"""
SCORES = stats.norm.pdf(np.arange(28), 10, 5.5)
STAGES = np.array([0.06, 0.04, 0.10, 0.10, 0.06, 0.09, 0.08, 0.12, 0.10, 0.25])
ACTIVE = np.array([9, 7, 6, 6, 7, 8, 9, 10, 11, 12, 8, 7.0])
WEEKS = np.arange(25)
BEGUN = np.diff(stats.lognorm.cdf([-1.0, *WEEKS], 0.45, scale=16.0))
WAIT = np.array([*(0.94 * BEGUN), 0.03, 1 - 0.03 - 0.94 * BEGUN.sum()])
SPENT = 25.0 * np.arange(13)
MINUTES = np.stack([0.75 * stats.geom.pmf(np.arange(1, 14), 0.25), np.linspace(1, 3, 13) / 100])
LAWS = {
    "week-8-quartiles": (np.arange(28.0)[:, None], SCORES),
    "programme": (np.arange(10.0)[:, None], STAGES),
    "active-weeks": (np.arange(1.0, 13)[:, None], ACTIVE),
    "wait": (np.arange(27.0)[:, None], WAIT),
    "minutes": (
        np.stack([np.tile(SPENT, 2), np.repeat([0.0, 1.0], 13)], axis=1),
        MINUTES.ravel(),
    ),
}


def truth() -> dict[str, float]:
    law = {name: p / p.sum() for name, (_, p) in LAWS.items()}
    found = {
        "active-weeks-mean": law["active-weeks"] @ np.arange(1, 13),
        "programme-started": law["programme"][2:].sum(),
        "programme-week-4": law["programme"][6:].sum(),
        "programme-completed-assessed": law["programme"][9],
        "programme-assessed": law["programme"][1::2].sum(),
        "wait-still": law["wait"][-1],
        "wait-begun-by-12": law["wait"][:13].sum(),
        "minutes-mean": law["minutes"] @ np.tile(SPENT, 2),
    }
    found["minutes-per-recovery"] = found["minutes-mean"] / law["minutes"][13:].sum()
    for stem, block in (("week-8", "week-8-quartiles"), ("wait", "wait")):
        for name, q in (("lower-quartile", 0.25), ("median", 0.5), ("upper-quartile", 0.75)):
            found[f"{stem}-{name}"] = float(np.searchsorted(law[block].cumsum(), q))
    bars = law["week-8-quartiles"]
    found["week-8-9-to-11"] = bars[9:12].sum()
    return found


@cache
def question(parts: str) -> Describe:
    study = Study.parse(STUDY.replace("PARTS", parts).encode())
    return Describe(study.questions[0], study)


def simulated(asked: Describe, people: int, rng: np.random.Generator) -> np.ndarray:
    """The noised sum of one study with `people` in each arm."""
    sums = []
    for block in asked.layout.blocks:
        values, law = LAWS[block.name]
        own = np.zeros(block.length)
        for arm in range(2):
            rows = block.rows(np.full(len(values), arm), values)
            own += rng.multinomial(people, law / law.sum()) @ rows
        sums.append(asked.layout.scale(block) * own)
    total = np.concatenate(sums)
    return total + NOISE_SD * rng.standard_normal(len(total))


# Parts are asked two at a time: five at once in a study of this size are swamped.
@pytest.mark.parametrize("people", [500, 1500])
@pytest.mark.parametrize("parts", ['["outcomes", "waits"]', '["programme", "minutes"]'])
def test_intervals_hold_the_truth_in_95_of_100_studies(parts: str, people: int) -> None:
    asked, rng, true = question(parts), np.random.default_rng(people), truth()
    held = defaultdict(list)
    for _ in range(STUDIES):
        noised = simulated(asked, people, rng)
        for e in read(Reading(asked.frame, noised, NOISE_SD)):
            name = e.name.removesuffix(f"-{ARMS[0]}").removesuffix(f"-{ARMS[1]}")
            if name in true and e.low is not None and e.high is not None:
                held[name].append(e.low <= true[name] <= e.high)
    assert {n for n in true if n.startswith(("week", "wait"))} <= set(held) or "min" in parts
    for name, told in held.items():
        if len(told) < STUDIES:  # of two arms; the rest are held back, and these are chosen by it
            continue
        # 400 intervals: 95 ± 1.1 (one standard error); scores and weeks come in steps
        stepped = "quartile" in name or "median" in name
        assert np.mean(told) > 0.915, name
        assert np.mean(told) < 0.985 or stepped, name


def test_the_ratio_forgets_the_truth_where_the_noise_is_forgotten() -> None:
    asked, rng, true = question('["minutes"]'), np.random.default_rng(1), truth()
    (block,) = asked.layout.blocks
    held = {"told": [], "forgotten": []}
    for _ in range(600):
        noised = simulated(asked, 500, rng)
        slots, sd = Reading(asked.frame, noised, NOISE_SD).slots(block)
        for name, own in (("told", sd), ("forgotten", 0.0)):
            _, low, high, _, _ = Sums.of(slots[0], block.number.limit, own).each()
            held[name].append(low <= true["minutes-per-recovery"] <= high)
    assert 0.93 < np.mean(held["told"]) < 0.975
    assert np.mean(held["forgotten"]) < 0.9


def test_shares_of_a_shaped_table_scatter_as_their_noise_says() -> None:
    asked, rng = question('["programme"]'), np.random.default_rng(2)
    block = asked.layout.blocks[0]
    table = np.tile(1500 * STAGES, (4000, 2, 1))
    sums = table @ block.seen.seen.T + 12.0 * rng.standard_normal(table.shape)
    counts = block.counts(sums.reshape(4000, -1), noise_sd=12.0, fewest=10.0)
    for start in range(1, 10):
        found = counts.share(np.arange(10) >= start)
        ratio = found.value.var() / found.noise.mean()
        assert ratio == pytest.approx(1.0, abs=0.08)  # 8,000 draws: one standard error is 0.016


def test_a_table_that_never_falls_is_the_nearest_one() -> None:
    rng = np.random.default_rng(4)
    for size in (1, 2, 27):
        values = rng.normal(np.linspace(0, 1, size), 1.0, (20, size))
        near = isotonic(values)
        assert (np.diff(near, axis=1) >= -1e-12).all()
        for own, fitted in zip(values, near, strict=True):
            np.testing.assert_allclose(fitted, isotonic_regression(own).x, atol=1e-12)
