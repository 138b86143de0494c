"""What a regression's formula may name, and each patient's values of it, pure per patient.

A covariate is a variable of the study, the arm, or the baseline score of the outcome instrument,
which a variable that the study itself calls `baseline` stands in for.
Numbers become categories by public cut points: `cut.age = [30, 50]` makes the levels 'under 30',
'30 to under 50' and '50 or more'. The first level is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.cohort import admitted_scores, baseline_scores
from cairn_models.levels import NO_LEVEL, levels_of
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_protocol.errors import InputError
from cairn_protocol.study import Variable

Array = NDArray[np.float64]
ARM: Final = "arm"
BASELINE: Final = "baseline"


@dataclass(frozen=True)
class Covariate:
    """One covariate; `levels` are empty for a number. A number has `declared` as its range.

    `of_scores`: it is the baseline score, not a column of the clinics' patients.
    """

    name: str
    declared: Variable
    cuts: tuple[float, ...] = ()
    of_scores: bool = False

    @property
    def levels(self) -> tuple[str, ...]:
        """The declared levels, or those that the cut points make."""
        return cut_levels(self.cuts) if self.cuts else self.declared.levels

    @property
    def variable(self) -> Variable:
        """As a formula sees it."""
        return Variable(levels=self.levels) if self.levels else self.declared


def cut_levels(cuts: tuple[float, ...]) -> tuple[str, ...]:
    """What the categories between cut points are called; a cut point belongs to the upper one."""
    if not cuts:
        return ()
    between = (f"{low:g} to under {high:g}" for low, high in pairwise(cuts))
    return (f"under {cuts[0]:g}", *between, f"{cuts[-1]:g} or more")


def known_covariates(
    variables: Mapping[str, Variable],
    arms: tuple[str, ...],
    instrument: Instrument,
    cuts: Mapping[str, tuple[float, ...]],
) -> dict[str, Covariate]:
    """Every covariate that a formula may name, by name.

    Raises:
        ValueError: a cut of something that is no number, or not inside its range, in order.
    """
    declared = {
        BASELINE: Variable(lowest=instrument.lowest, highest=instrument.highest),
        **({ARM: Variable(levels=arms)} if len(arms) > 1 else {}),
        **variables,
    }
    for name, points in cuts.items():
        if name not in declared or declared[name].levels:
            numbers = ", ".join(n for n, v in declared.items() if not v.levels)
            raise ValueError(f"cut.{name}: it is no number of the study; numbers: {numbers}")
        inside = (declared[name].lowest, *points, declared[name].highest)
        if not points or any(a is None or b is None or a >= b for a, b in pairwise(inside)):
            raise ValueError(f"cut.{name}: points must rise, inside the declared range")
    return {
        name: Covariate(
            name, v, tuple(cuts.get(name, ())), of_scores=name == BASELINE and name not in variables
        )
        for name, v in declared.items()
    }


def values_of(
    covariate: Covariate,
    records: Records,
    instrument: Instrument,
    baseline_window: tuple[float, float],
    arms: tuple[str, ...],
) -> Array:
    """(N,) a number, or the place of the level among the levels; NaN where it is not known.

    `records` in weeks; patients in the order in which `records.patients` first names them.

    Raises:
        InputError: the clinic's patients have no such column.
    """
    if covariate.name == ARM and covariate.declared.levels == arms:
        places = {name: float(place) for place, name in enumerate(arms)}
        people = _people(records)["arm"].to_list()
        return np.array([places.get(arm, np.nan) for arm in people], dtype=np.float64)
    if covariate.declared.levels:
        level = levels_of(records, covariate.name, covariate.declared.levels)
        return np.where(level == NO_LEVEL, np.nan, level.astype(np.float64))
    numbers = (
        _baselines(records, instrument, baseline_window)
        if covariate.of_scores
        else _numbers(records, covariate.name)
    )
    low, high = covariate.declared.lowest, covariate.declared.highest
    with np.errstate(invalid="ignore"):
        inside = (numbers >= float(low or 0.0)) & (numbers <= float(high or 0.0))
    kept = np.where(inside, numbers, np.nan)
    if not covariate.cuts:
        return kept
    place = np.searchsorted(np.array(covariate.cuts), np.nan_to_num(kept), side="right")
    return np.where(inside, place.astype(np.float64), np.nan)


def _people(records: Records) -> pl.DataFrame:
    return records.patients.unique("patient", keep="first", maintain_order=True)


def _numbers(records: Records, name: str) -> Array:
    if name not in records.patients.columns:
        raise InputError(
            f"this clinic's patients have no column {name!r}",
            code="column-missing",
            why="the study's regression names it",
            hint=f"map it under [patients.variables] in mapping.toml: {name} = ...",
        )
    column = _people(records)[name].cast(pl.Float64, strict=False)
    return column.fill_null(float("nan")).to_numpy().astype(np.float64)


def _baselines(
    records: Records, instrument: Instrument, baseline_window: tuple[float, float]
) -> Array:
    found = baseline_scores(admitted_scores(records, instrument), baseline_window)
    joined = (
        _people(records)
        .select("patient")
        .join(found, on="patient", how="left", maintain_order="left")
    )
    return joined["baseline"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
