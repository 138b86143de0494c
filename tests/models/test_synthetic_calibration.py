"""The default world meets every published aggregate, as a study would observe it."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cairn_models.synthetic import World, draw_clinic_sizes, generate, quantities
from cairn_models.synthetic.quantities import hedges_g, icc

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "calibration.json"
TARGETS: list[dict[str, Any]] = json.loads((HERE / "calibration.json").read_text())["targets"]
SIZES_NAME = "clinic size quantiles 10 25 50 75 90"
MEASURED = [t for t in TARGETS if t["quantity"] != SIZES_NAME]


def label(target: dict[str, Any]) -> str:
    return f"{target['arm']}-{target['week']}-{target['quantity']}".replace(" ", "_")


@cache
def observed(world: World, clinics: int) -> dict[tuple[str, int | None, str], float]:
    found = quantities(generate(world, [120] * clinics, seed=2024))
    return {(q.arm, q.week, q.quantity): q.value for q in found}


def missed(world: World) -> list[str]:
    seen = observed(world, 80)
    return [
        label(t)
        for t in MEASURED
        if not abs(seen[t["arm"], t["week"], t["quantity"]] - t["value"]) <= t["tolerance"]
    ]


@pytest.mark.parametrize("target", MEASURED, ids=label)
def test_the_default_world_meets_each_target(target: dict[str, Any]) -> None:
    # 30,000 patients: sampling errors are below a fifth of every tolerance
    value = observed(World(), 250)[target["arm"], target["week"], target["quantity"]]
    assert value == pytest.approx(target["value"], abs=target["tolerance"])


def test_clinic_sizes_have_the_published_quantiles() -> None:
    target = next(t for t in TARGETS if t["quantity"] == SIZES_NAME)
    sizes = draw_clinic_sizes(20_000, seed=1)
    found = np.quantile(sizes, [0.1, 0.25, 0.5, 0.75, 0.9])
    assert found == pytest.approx(target["value"], rel=0.25)
    assert min(sizes) >= 5
    assert max(sizes) <= 3650
    assert all(type(size) is int for size in sizes)


def test_sizes_repeat_with_the_seed() -> None:
    assert draw_clinic_sizes(9, seed=4) == draw_clinic_sizes(9, seed=4)
    assert draw_clinic_sizes(9, seed=4) != draw_clinic_sizes(9, seed=5)
    assert draw_clinic_sizes(0, seed=4) == []


@pytest.mark.skipif(not SOURCE.exists(), reason="../shared/data/calibration.json is absent")
def test_the_shipped_targets_are_the_source_s() -> None:
    assert json.loads(SOURCE.read_text())["targets"] == TARGETS


def test_a_world_without_benefit_is_told_from_the_default() -> None:
    arms = tuple(replace(arm, benefit=0.0) for arm in World().arms)
    assert [name for name in missed(replace(World(), arms=arms)) if "hedges" in name] == [
        "dmhi_guided-8-hedges_g_against_waiting",
        "dmhi_unguided-8-hedges_g_against_waiting",
    ]


def test_the_shifted_world_is_far_from_the_targets() -> None:
    assert len(missed(World.shifted())) >= 10


def test_hedges_g_is_the_textbook_s() -> None:
    # Borenstein et al. 2009, table 4.1: means 103 and 100, SDs 5.5 and 4.5, 50 each: d 0.5970,
    # J 0.9923, g 0.5924
    def sample(mean: float, sd: float) -> np.ndarray:
        z = np.linspace(-1, 1, 50)
        return mean + sd * (z - z.mean()) / z.std(ddof=1)

    assert hedges_g(sample(103, 5.5), sample(100, 4.5)) == pytest.approx(0.5924, abs=1e-4)


def test_the_icc_of_unequal_sites_is_recovered() -> None:
    rng = np.random.default_rng(1)
    site = np.repeat(np.arange(2000), rng.integers(2, 40, 2000))
    value = rng.normal(0, 1, 2000)[site] + rng.normal(0, 3, len(site))
    assert icc(pl.DataFrame({"site": site, "v": value}), "v") == pytest.approx(0.1, abs=0.01)
    # balanced by hand: group means 1 and 4, within 2 and 2 -> MSB 13.5, MSW 1
    by_hand = pl.DataFrame({"site": [0, 0, 0, 1, 1, 1], "v": [0.0, 1, 2, 3, 4, 5]})
    assert icc(by_hand, "v") == pytest.approx((13.5 - 1) / (13.5 + 2 * 1))


def test_monthly_quantities_agree_with_a_loop_over_patients() -> None:
    clinics = generate(World(), [40, 25], seed=3)
    squares, degrees, pairs = 0.0, 0, []
    for clinic in clinics:
        phq9 = clinic.scores.filter(pl.col("instrument") == "PHQ-9")
        for _, rows in phq9.group_by("patient"):
            by_week = dict(zip(rows["time"], rows["value"], strict=True))
            monthly = {}
            for month in range(7):
                near = (4 * month, 4 * month - 1, 4 * month + 1)
                week = next((w for w in near if w in by_week), None)
                if week is not None:
                    monthly[month] = (week, by_week[week])
            pairs += [(monthly[m][1], monthly[m + 1][1]) for m in monthly if m + 1 in monthly]
            if len(monthly) >= 4:
                t, y = np.array(list(monthly.values())).T
                squares += float(((y - np.polyval(np.polyfit(t, y, 1), t)) ** 2).sum())
                degrees += len(t) - 2
    found = {q.quantity: q.value for q in quantities(clinics) if q.week is None}
    residual = "residual sd of monthly phq9 around a patient's own line"
    assert found[residual] == pytest.approx(np.sqrt(squares / degrees))
    expected = np.corrcoef(np.array(pairs).T)[0, 1]
    assert found["correlation of phq9 one month apart"] == pytest.approx(expected)
