"""`Cohort`: synthetic clinics of a world, and further patients of the same clinics who judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.features import Weekly, weekly
from cairn_models.trajectory.placing import Floats
from cairn_models.trajectory.targets import main_targets

PHQ9 = INSTRUMENTS["PHQ-9"]
CLINICS, MOST_CLINICS = 10, 20
SIZE, SMALL = 300, 50  # patients who train
FURTHER = 200  # patients of each of the ten clinics who train nothing
JUDGED = (1, 2, 4, 8)  # weeks ahead
BANDS = (0.5, 0.8, 0.95)
TABLES = ("patients", "scores", "engagement", "wearables")


@dataclass(frozen=True)
class Error:
    """Mean absolute errors in PHQ-9 points, each the mean over the horizons of `JUDGED`.

    `pair` weighs every pair of weeks alike, `patient` every patient.
    """

    pair: float
    patient: float


@dataclass(frozen=True)
class Cohort:
    """`clinics`: twenty of `SIZE` patients; `judges`: the weeks of others, clinic by clinic."""

    clinics: tuple[Records, ...]
    judges: Weekly

    @classmethod
    def of(cls, world: World, seed: int) -> Cohort:
        """Clinic number k of `seed` is the same in every comparison."""
        sizes = [SIZE + FURTHER] * CLINICS + [SIZE] * (MOST_CLINICS - CLINICS)
        made = generate(world, sizes, seed=seed)
        judges = pool([_between(clinic, SIZE, SIZE + FURTHER) for clinic in made[:CLINICS]])
        return cls(tuple(first(clinic, SIZE) for clinic in made), weekly(judges, PHQ9))

    def error(self, predicted: Floats, clinic: int | None = None) -> Error:
        """Of medians (N, T, H) on 0-1; of one clinic's further patients only, where it is named."""
        rows = slice(None) if clinic is None else slice(clinic * FURTHER, (clinic + 1) * FURTHER)
        target, known = main_targets(self.judges)
        off = PHQ9.highest * np.abs(predicted.astype(np.float64) - target)[rows]
        known = known[rows]
        pairs, patients = [], []
        for k in (HORIZONS.index(h) for h in JUDGED):
            here, gap = known[:, :, k], off[:, :, k]
            pairs.append(float(gap[here].mean()))
            has = here.any(axis=1)
            own = (gap * here).sum(axis=1)[has] / here.sum(axis=1)[has]
            patients.append(float(own.mean()))
        return Error(float(np.mean(pairs)), float(np.mean(patients)))

    def inside(self, low: Floats, high: Floats) -> float:
        """The share of pairs whose score lies in its band, the mean over the horizons."""
        target, known = main_targets(self.judges)
        held = (target >= low) & (target <= high)
        at = [HORIZONS.index(h) for h in JUDGED]
        return float(np.mean([held[:, :, k][known[:, :, k]].mean() for k in at]))


def pool(clinics: Sequence[Records]) -> Records:
    """All their patients in one place: what only synthetic data allow."""
    return Records(*(pl.concat([getattr(c, table) for c in clinics]) for table in TABLES))


def first(clinic: Records, patients: int) -> Records:
    """The clinic's first patients."""
    return _between(clinic, 0, patients)


def _between(clinic: Records, start: int, end: int) -> Records:
    return clinic.only(clinic.patients["patient"].sort()[start:end])
