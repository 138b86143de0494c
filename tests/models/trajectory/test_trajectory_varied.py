"""Worlds of the pre-training as clinics hold them: some things missing, some added, no effect."""

from __future__ import annotations

import numpy as np
import polars as pl

from cairn_models.measures import INSTRUMENTS
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.columns import COLUMNS
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.varied import varied

PHQ9 = INSTRUMENTS["PHQ-9"]


def worlds(count: int = 12):
    rng = np.random.default_rng(0)
    return [
        varied(generate(World(), [20, 20], seed=k), np.random.default_rng(rng.integers(1 << 30)))
        for k in range(count)
    ]


def test_every_input_of_the_network_is_met_and_missed_by_some_world():
    features = [np.concatenate([weekly(r, PHQ9).features for r in cohort]) for cohort in worlds(30)]
    met = np.array([(f != 0).any(axis=(0, 1)) for f in features])  # (worlds, F)
    always_there = {"week", "score", "companion"}
    never_there = {"arm_treatment_as_usual", "arm_face_to_face", "arm_blended"}  # of wide worlds
    for k, name in enumerate(COLUMNS):
        assert met[:, k].any() or name in never_there, name
        kind = name.removeprefix("last_").removeprefix("any_").removeprefix("first_")
        if kind in {"WSAS", "CORE-10", "credibility", "sex_known", "steps", "modality_chatbot"}:
            assert not met[:, k].all(), name
        if kind in always_there:
            assert met[:, k].all(), name


def test_scores_of_the_two_instruments_and_arms_stay_as_they_were():
    plain, changed = generate(World(), [20, 20], seed=0), worlds(1)[0]
    for before, after in zip(plain, changed, strict=True):
        assert before.patients["arm"].equals(after.patients["arm"])
        both = after.scores.filter(pl.col("instrument").is_in(["PHQ-9", "GAD-7"]))
        assert both.equals(before.scores)


def test_the_same_seed_varies_alike():
    for first, second in zip(worlds(2), worlds(2), strict=True):
        for one, other in zip(first, second, strict=True):
            assert one.patients.equals(other.patients)
            assert one.scores.equals(other.scores)


def test_added_scales_are_within_their_ranges():
    for cohort in worlds():
        for records in cohort:
            for name in ("WSAS", "CORE-10"):
                values = records.scores.filter(pl.col("instrument") == name)["value"]
                assert values.is_between(INSTRUMENTS[name].lowest, INSTRUMENTS[name].highest).all()
