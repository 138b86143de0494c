"""`varied`: synthetic records as clinics of many kinds would hold them.

A synthetic world knows everything of everybody. Clinics do not: one has no wearables, one never
asks for credibility, a third holds WSAS beside the PHQ-9, and some know the modality. A network
that has never met what is missing would take it for a value. So each world of the pre-training
loses some of what it has and gains some of what others have; nothing that is added has an effect.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records
from cairn_models.trajectory.columns import MODALITIES, OTHER_SCALES

COVARIATES: Final = ("sex", "age_band", "deprivation", "prior_therapy", "medication", "employment")
SOMETIMES_KEPT: Final = (
    *("credibility", "alliance", "check_ins", "minutes", "technical_errors", "offered"),
    *("logins", "modules"),
)
ABSENT: Final = 0.3  # chance that a world has no such covariate or measure
BLANK: Final = 0.1  # chance that one person's covariate is not known
ADDED: Final = 0.4  # chance that a world has another scale, or knows the modality
PROGRAMMES: Final = ("dmhi_unguided", "dmhi_guided", "blended")


def varied(cohort: list[Records], rng: np.random.Generator) -> list[Records]:
    """The clinics of one world, each with the same columns and measures."""
    lost = [name for name in COVARIATES if rng.random() < ABSENT]
    unkept = [name for name in SOMETIMES_KEPT if rng.random() < ABSENT]
    wearables = rng.random() >= ABSENT
    scales = [name for name in OTHER_SCALES if rng.random() < ADDED]
    modality = rng.random() < ADDED
    return [
        Records(
            _people(records.patients, lost, modality, rng),
            _scores(records.scores, scales, rng),
            records.engagement.filter(~pl.col("measure").is_in(unkept)),
            records.wearables if wearables else records.wearables.clear(),
            records.time_unit,
        )
        for records in cohort
    ]


def _people(
    patients: pl.DataFrame, lost: list[str], modality: bool, rng: np.random.Generator
) -> pl.DataFrame:
    people = patients.drop(lost, strict=False)
    for name in (name for name in COVARIATES if name in people.columns):
        blank = pl.Series(rng.random(people.height) < BLANK)
        people = people.with_columns(pl.when(~blank).then(pl.col(name)).alias(name))
    if modality:
        kind = pl.Series("kind", rng.choice(MODALITIES, people.height))
        in_one = pl.col("arm").is_in(PROGRAMMES)
        people = people.with_columns(pl.when(in_one).then(kind).alias("modality"))
    return people


def _scores(scores: pl.DataFrame, names: list[str], rng: np.random.Generator) -> pl.DataFrame:
    """`scores` and, beside most PHQ-9 totals, a total of each other scale that follows it."""
    own = scores.filter(pl.col("instrument") == "PHQ-9")
    span = INSTRUMENTS["PHQ-9"].highest
    parts = [scores]
    for name in names:
        scale = INSTRUMENTS[name]
        share = 0.1 + 0.75 * own["value"].to_numpy() / span + rng.normal(0, 0.1, own.height)
        value = np.round(np.clip(share, 0, 1) * (scale.highest - scale.lowest) + scale.lowest)
        beside = own.with_columns(instrument=pl.lit(name), value=pl.Series(value))
        parts.append(beside.filter(pl.Series(rng.random(own.height) < 0.8)))
    return pl.concat(parts)
