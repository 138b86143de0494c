"""Synthetic records are valid, repeatable, independent, and drop out as the world says."""

import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cairn_models.measures import INSTRUMENTS
from cairn_models.records import (
    ENGAGEMENT,
    ENGAGEMENT_MEASURES,
    PATIENT_COLUMNS,
    SCORES,
    WEARABLE_MEASURES,
    WEARABLES,
    Records,
)
from cairn_models.synthetic import World, clinic_name, generate, true_effect
from cairn_models.synthetic.cohort import simulate
from cairn_models.synthetic.draws import Draws, category, poisson
from cairn_protocol.errors import InputError

TABLES = ("patients", "scores", "engagement", "wearables")
PROGRAMME_ARMS = ("dmhi_unguided", "dmhi_guided")


def same(one: Records, other: Records) -> None:
    for table in TABLES:
        assert_frame_equal(getattr(one, table), getattr(other, table))


def check(records: Records, weeks: int) -> None:
    """Everything that a reader would refuse, and the rules of the cohort."""
    patients, scores = records.patients, records.scores
    ids = patients["patient"]
    assert dict(list(patients.schema.items())[:3]) == PATIENT_COLUMNS
    assert ids.is_sorted()
    assert ids.is_unique().all()
    assert ids.str.starts_with("synthetic-").all()
    assert patients.null_count().sum_horizontal().sum() == 0
    for table, schema in (("scores", SCORES), ("engagement", ENGAGEMENT), ("wearables", WEARABLES)):
        frame = getattr(records, table)
        assert dict(frame.schema) == schema
        assert frame.null_count().sum_horizontal().sum() == 0
        assert set(frame["patient"]) <= set(ids)
        keys = [c for c in frame.columns if c not in ("value", "coverage")]
        assert frame.select(keys).is_unique().all()
        time = frame["week" if table == "wearables" else "time"]
        assert time.is_between(0, weeks).all()
        assert frame["value"].is_finite().all()
    for name, instrument in INSTRUMENTS.items():
        values = scores.filter(pl.col("instrument") == name)["value"]
        assert values.is_between(instrument.lowest, instrument.highest).all()
    assert set(scores["instrument"]) <= {"PHQ-9", "GAD-7"}
    assert (scores["value"] == scores["value"].round()).all()
    assert scores.filter(pl.col("time") == 0).height == 2 * len(records)
    assert set(records.wearables["measure"]) <= set(WEARABLE_MEASURES)
    assert records.wearables["coverage"].is_between(0, 1, closed="right").all()
    check_engagement(records)


def check_engagement(records: Records) -> None:
    assert set(records.engagement["measure"]) <= set(ENGAGEMENT_MEASURES)
    of_wait = pl.col("measure").is_in(["therapy_started", "stepped_up"])
    check_wait(records.engagement.filter(of_wait))
    engagement = records.engagement.filter(~of_wait)
    users = records.patients.filter(pl.col("arm").is_in(PROGRAMME_ARMS))["patient"]
    assert set(engagement["patient"]) == set(users)

    def event(measure: str) -> pl.DataFrame:
        rows = engagement.filter(pl.col("measure") == measure)
        return rows.select("patient", pl.col("time").alias(measure))

    assert set(event("offered")["patient"]) == set(users)
    ends = event("stopped").join(event("completed"), on="patient", how="inner")
    assert ends.height == 0, "nobody both stops and completes"
    for end in ("stopped", "completed"):
        after = engagement.join(event(end), on="patient").filter(pl.col("time") > pl.col(end))
        assert after.height == 0, f"no engagement after {end}"
    use = engagement.filter(~pl.col("measure").is_in(["offered", "credibility"]))
    without = use.join(event("started"), on="patient", how="left")
    assert (without["time"] >= without["started"]).all(), "no use before the start"
    assert without["started"].null_count() == 0
    last = event("stopped").join(
        engagement.filter(pl.col("measure") == "logins"),
        left_on=["patient", "stopped"],
        right_on=["patient", "time"],
    )
    assert last.height == event("stopped").height, "the week of stopping has the last use"


def check_wait(ends: pl.DataFrame) -> None:
    assert ends["patient"].is_unique().all(), "a wait ends once: in therapy or in more than it"
    assert (ends["value"] == 1).all()
    assert (ends["time"] >= 1).all()


@pytest.mark.parametrize("world", [World(), World.shifted()], ids=["default", "shifted"])
def test_records_are_valid(world: World) -> None:
    for records in generate(world, [0, 1, 10, 300], seed=5):
        check(records, 26)


def test_clinics_of_every_size() -> None:
    clinics = generate(World(), [0, 10, 1], seed=1, weeks=12)
    assert [len(c) for c in clinics] == [0, 10, 1]
    empty = clinics[0]
    assert all(getattr(empty, t).height == 0 for t in TABLES)
    assert empty.patients.schema == clinics[1].patients.schema
    assert generate(World(), [], seed=1) == []


def test_fifty_wide_worlds_give_valid_records() -> None:
    rng = np.random.default_rng(7)
    worlds = [World.wide(rng) for _ in range(50)]
    means = []
    for number, world in enumerate(worlds):
        (records,) = generate(world, [60], seed=number, weeks=26)
        check(records, 26)
        means.append(records.scores.filter(pl.col("instrument") == "PHQ-9")["value"].mean())
        names = [arm.name for arm in world.arms]
        assert len(set(names)) == len(names) == 7, "a prior meets every arm that Cairn names"
    assert np.std(means) > 1.5, "wide worlds must differ"
    assert len(set(worlds)) == 50


def test_wide_worlds_surround_the_default() -> None:
    rng = np.random.default_rng(1)
    worlds = [World.wide(rng) for _ in range(200)]
    for part in ("symptoms", "dropout", "observation", "programme", "sites"):
        for name, default in vars(getattr(World(), part)).items():
            drawn = {getattr(getattr(world, part), name) for world in worlds}
            if len(drawn) > 1:
                assert min(drawn) < default < max(drawn), f"{part}.{name}"


def test_wide_worlds_repeat_with_their_generator() -> None:
    assert World.wide(np.random.default_rng(3)) == World.wide(np.random.default_rng(3))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=4),
    st.integers(0, 2**32),
    st.integers(1, 15),
)
def test_the_same_seed_gives_the_same_records(sizes: list[int], seed: int, weeks: int) -> None:
    one, other = (generate(World(), sizes, seed=seed, weeks=weeks) for _ in range(2))
    for first, second in zip(one, other, strict=True):
        same(first, second)
        check(first, weeks)


def test_another_seed_gives_other_records() -> None:
    (one,), (other,) = (generate(World(), [20], seed=s) for s in (1, 2))
    assert not one.scores.equals(other.scores)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_a_clinic_does_not_depend_on_the_others(before: int, after: int) -> None:
    alone = generate(World(), [7, 25], seed=9)[1]
    same(generate(World(), [before, 25, after], seed=9)[1], alone)


def test_two_clinics_of_a_size_differ() -> None:
    one, other = generate(World(), [30, 30], seed=9)
    assert not one.scores["value"].equals(other.scores["value"])
    assert not set(one.patients["patient"]) & set(other.patients["patient"])


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60))
def test_a_patient_does_not_depend_on_the_clinic_s_size(size: int) -> None:
    (large,) = generate(World(), [60], seed=2)
    (small,) = generate(World(), [size], seed=2)
    kept = small.patients["patient"].implode()
    for table in TABLES:
        rows = getattr(large, table)
        assert_frame_equal(rows.filter(pl.col("patient").is_in(kept)), getattr(small, table))


def test_no_score_after_measurement_was_lost() -> None:
    clinic = simulate(World(), 400, seed=11, clinic=0, weeks=26)
    (records,) = generate(World(), [400], seed=11)
    lost = pl.DataFrame(
        {"patient": [f"synthetic-oak-{i + 1:04d}" for i in range(400)], "lost": clinic.course.lost}
    )
    rows = records.scores.join(lost, on="patient")
    assert (rows["time"] < rows["lost"]).all()
    assert (lost["lost"] <= 26).sum() > 100, "many are lost within the half year"
    assert (lost["lost"] >= 1).all(), "everyone has a score at entry"


def test_programmes_are_stopped_only_where_there_is_one() -> None:
    clinic = simulate(World(), 3000, seed=1, clinic=0, weeks=26)
    programme = np.array([arm.programme for arm in World().arms])[clinic.patients.arm]
    stopped = clinic.course.stop <= 26
    assert not stopped[~programme].any()
    assert stopped[programme].mean() > 0.2


def test_the_wait_ends_in_therapy_or_sooner_in_more_for_those_who_are_worse() -> None:
    clinics = [simulate(World(), 500, seed=2, clinic=i, weeks=26) for i in range(8)]
    therapy, more = (
        np.concatenate([getattr(c.waiting, end) for c in clinics])
        for end in ("therapy", "stepped_up")
    )
    assert np.median(therapy) == pytest.approx(World().wait.therapy_weeks, abs=1.5)
    assert 0.03 < (more <= 26).mean() < 0.2
    assert not ((therapy <= 26) & (more <= 26)).any()
    level = np.concatenate([c.patients.phq9_level for c in clinics])
    assert level[more <= 26].mean() - level[more > 26].mean() > 2
    inert = replace(World(), wait=replace(World().wait, stepped_up=0.0))
    assert (simulate(inert, 500, seed=2, clinic=0, weeks=26).waiting.stepped_up > 26).all()


def test_the_law_of_the_wait_moves_nothing_else() -> None:
    (one,) = generate(World(), [40], seed=3)
    longer = replace(World(), wait=replace(World().wait, therapy_weeks=40.0, stepped_up=0.2))
    (other,) = generate(longer, [40], seed=3)
    assert not one.engagement.equals(other.engagement)
    of_wait = pl.col("measure").is_in(["therapy_started", "stepped_up"])
    for table in ("patients", "scores", "wearables"):
        assert_frame_equal(getattr(one, table), getattr(other, table))
    assert_frame_equal(one.engagement.filter(~of_wait), other.engagement.filter(~of_wait))


UNGUIDED = 2
WITHOUT = replace(World().dropout, **dict.fromkeys(vars(World().dropout), 0.0))
MARKERS = {
    "lost_severity": lambda c: c.patients.phq9_level,
    "lost_worsening": lambda c: c.course.symptoms[:, 8] - c.course.symptoms[:, 4],
    "lost_after_stop": lambda c: c.course.stop <= 4,
    "stop_severity": lambda c: c.patients.phq9_level,
    "stop_worsening": lambda c: c.course.symptoms[:, 8] - c.course.symptoms[:, 4],
    "stop_technical_error": lambda c: c.use.errors[:, :8].sum(axis=1),
    "stop_credibility": lambda c: c.patients.credibility,
    "young": lambda c: c.patients.covariates["age_band"] == 0,
    "deprivation": lambda c: -c.patients.deprivation,
}


def association(world: World, cause: str, process: str, *, arm: int = UNGUIDED) -> float:
    """Correlation of a cause with dropping out by week 8, over 8,000 patients of one arm."""
    clinics = [simulate(world, 400, seed=6, clinic=i, weeks=8, arm=arm) for i in range(20)]
    marker = np.concatenate([MARKERS[cause](c) for c in clinics]).astype(float)
    gone = np.concatenate([getattr(c.course, process) <= 8 for c in clinics])
    return float(np.corrcoef(marker, gone)[0, 1])


@pytest.mark.parametrize(
    ("cause", "process"),
    # the marker of lost_after_stop is stopping itself
    sorted(set(itertools.product(MARKERS, ("lost", "stop"))) - {("lost_after_stop", "stop")}),
)
def test_each_cause_moves_its_dropout_and_nothing_else_does(cause: str, process: str) -> None:
    # no benefit, so that stopping does not itself change the symptoms that mark the causes
    arms = tuple(replace(arm, benefit=0.0) for arm in World().arms)
    sites = replace(World().sites, dropout_sd=0.0)
    inert = replace(World(), dropout=WITHOUT, arms=arms, sites=sites)
    alone = replace(inert, dropout=replace(WITHOUT, **{cause: 1.5}))
    concerned = cause.startswith(process) or cause in ("young", "deprivation")
    assert abs(association(inert, cause, process)) < 0.04  # 3.5 standard errors
    if concerned:
        assert association(alone, cause, process) > 0.08
    else:
        assert abs(association(alone, cause, process)) < 0.04


def test_in_the_default_world_those_who_drop_out_are_worse() -> None:
    clinics = [simulate(World(), 500, seed=6, clinic=i, weeks=8, arm=UNGUIDED) for i in range(20)]
    points = np.concatenate([c.course.symptoms[:, 8] for c in clinics])
    for process in ("lost", "stop"):
        gone = np.concatenate([getattr(c.course, process) <= 8 for c in clinics])
        assert points[gone].mean() - points[~gone].mean() > 0.8


def test_loss_of_measurement_depends_on_the_arm() -> None:
    lost = [
        np.mean(simulate(World(), 4000, seed=1, clinic=0, weeks=8, arm=a).course.lost <= 8)
        for a in (0, 2)
    ]
    assert lost[1] > lost[0] + 0.04


def test_confounding_by_severity_when_asked_for() -> None:
    def gap(tilt: float) -> float:
        world = replace(World(), people=replace(World().people, severity_on_arm=tilt))
        (records,) = generate(world, [4000], seed=3, weeks=1)
        start = records.scores.filter((pl.col("time") == 0) & (pl.col("instrument") == "PHQ-9"))
        by_arm = start.join(records.patients, on="patient")
        digital = pl.col("arm").is_in(PROGRAMME_ARMS)
        return by_arm.filter(digital)["value"].mean() - by_arm.filter(~digital)["value"].mean()

    assert abs(gap(0.0)) < 0.6
    assert gap(0.8) > 2.0


def test_true_effect_of_nothing_is_exactly_nothing() -> None:
    effect = true_effect(World(), 8, "waiting", "waiting", patients=500)
    assert (effect.points, effect.standard_error, effect.hedges_g) == (0.0, 0.0, 0.0)
    inert = tuple(replace(arm, benefit=0.0) for arm in World().arms)
    assert true_effect(replace(World(), arms=inert), 8, "dmhi_guided", patients=500).points == 0.0


def test_true_effects_are_ordered_near_what_is_observed_and_grow() -> None:
    effects = {
        arm: true_effect(World(), 8, arm, patients=6000)
        for arm in ("self_help_book", *PROGRAMME_ARMS)
    }
    points = [e.points for e in effects.values()]
    assert points == sorted(points, reverse=True)
    assert effects["dmhi_guided"].hedges_g == pytest.approx(0.64, abs=0.12)
    assert effects["dmhi_unguided"].hedges_g == pytest.approx(0.52, abs=0.12)
    assert "synthetic" in effects["dmhi_guided"].label
    early = true_effect(World(), 2, "dmhi_guided", patients=2000)
    assert effects["dmhi_guided"].points < early.points < 0
    again = true_effect(World(), 8, "dmhi_guided", patients=6000, seed=8)
    spread = np.hypot(again.standard_error, effects["dmhi_guided"].standard_error)
    assert abs(again.points - effects["dmhi_guided"].points) < 4 * spread


def test_an_unknown_arm_is_refused_by_name() -> None:
    with pytest.raises(InputError) as refused:
        true_effect(World(), 8, "hypnosis")
    assert refused.value.code == "input.arm-unknown"
    assert "dmhi_guided" in refused.value.hint


@pytest.mark.parametrize(("sizes", "seed", "weeks"), [([-1], 1, 26), ([3], -1, 26), ([3], 1, 0)])
def test_impossible_numbers_are_refused(sizes: list[int], seed: int, weeks: int) -> None:
    with pytest.raises(InputError):
        generate(World(), sizes, seed=seed, weeks=weeks)


def test_names_are_made_up_and_differ() -> None:
    names = [clinic_name(i) for i in range(500)]
    assert len(set(names)) == 500
    assert names[0] == "oak"


def test_poisson_and_categories_have_their_law() -> None:
    uniform = Draws.of(np.random.default_rng(1), 4000, 9).uniform("logins")
    counts = poisson(uniform, np.array(2.5))
    assert counts.mean() == pytest.approx(2.5, abs=0.05)
    assert counts.var() == pytest.approx(2.5, abs=0.1)
    chosen = category(uniform.ravel(), np.array([1.0, 2.0, 1.0]))
    assert np.bincount(chosen) / len(chosen) == pytest.approx([0.25, 0.5, 0.25], abs=0.01)
