"""`in_trial`: a clinic's records as one trial of the study's target trial would hold them.

**Rules**, each of one patient's own rows and public constants, times in weeks since entry; z is the
trial's time zero and z + grace its landmark, both inclusive:

- *Begun*: the earliest row that says so (`started`, or `offered`). Arms that need no start begin at
  entry. A trial takes those who have not begun by z; the first trial also those who begin at z. So
  every start falls into one trial at most.
- *Eligible*: not begun before; under observation at the landmark, that is, a score of the outcome
  at it or later (or so many weeks before as `seen_within` allows); nothing of `not_yet` by then;
  the baseline score at z within the range, if the study names one.
- *Arm*: the recorded one for who begins by the landmark. Who begins later, or never, was in the
  reference arm of this trial.

Nobody could have left before the landmark in either arm, so nobody's arm rests on having stayed
(Anderson, Cain & Gelber 1983, J Clin Oncol 1:710; Hernán et al. 2016, J Clin Epidemiol 79:70).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from cairn_models.cohort import TIME_DIGITS, admitted_scores, baseline_scores
from cairn_models.measures import Instrument
from cairn_models.records import Records
from cairn_protocol.target_trial import TargetTrial

AT_ENTRY = 0.0


@dataclass(frozen=True)
class Trial:
    """One trial: its time zero and its landmark in weeks since entry; `first` of the study's."""

    zero: float
    landmark: float
    first: bool


def trials_of(target: TargetTrial) -> tuple[Trial, ...]:
    """The trials of a study, in the order in which they begin."""
    return tuple(
        Trial(round(week, TIME_DIGITS), round(week + target.grace, TIME_DIGITS), number == 0)
        for number, week in enumerate(target.weeks)
    )


@dataclass(frozen=True)
class TrialRecords:
    """`records` by the trial's clock and arms, arm null for who is not in it; `baseline` at z.

    `baseline` has one row a patient who has such a score: patient str · baseline f64.
    """

    records: Records
    baseline: pl.DataFrame


def in_trial(
    records: Records,
    trial: Trial,
    target: TargetTrial,
    instrument: Instrument,
    arms: Sequence[str],
) -> TrialRecords:
    """The records of `trial`: every patient in the same order, times in weeks since its time zero.

    Args:
        instrument: the study's outcome.
        arms: the study's; nobody else's arm begins.

    Wearables are left out: no comparison of arms reads them.
    """
    weeks = records.times_in("week")
    since = pl.col("time") - trial.zero
    scores = admitted_scores(weeks, instrument)
    baseline = baseline_scores(
        scores.with_columns(since.round(TIME_DIGITS)), target.baseline_window
    )
    facts = (
        weeks.patients.select("patient", "arm")
        .join(_last(scores), on="patient", how="left", maintain_order="left")
        .join(_earliest(weeks, (target.begins,), "begun"), on="patient", how="left")
        .join(_earliest(weeks, target.not_yet, "ended"), on="patient", how="left")
        .join(baseline, on="patient", how="left")
        .unique("patient", keep="first")
    )
    arm = facts.select("patient", arm=_arm(trial, target, arms))
    patients = weeks.patients.drop("arm").join(
        arm, on="patient", how="left", maintain_order="left", nulls_equal=True
    )
    return TrialRecords(
        Records(
            patients.select(weeks.patients.columns),
            weeks.scores.with_columns(since),
            weeks.engagement.with_columns(since),
            time_unit="week",
        ),
        baseline,
    )


def _arm(trial: Trial, target: TargetTrial, arms: Sequence[str]) -> pl.Expr:
    """The arm in this trial, null for who is not eligible, from columns of facts."""
    recorded, reference = pl.col("arm"), target.among(arms)
    begun = (
        pl.when(recorded.is_in(list(target.starts)))
        .then(pl.col("begun"))
        .when(recorded != reference)
        .then(pl.lit(AT_ENTRY))
    )
    fresh = begun >= trial.zero if trial.first else begun > trial.zero
    low, high = target.lowest_baseline, target.highest_baseline
    baseline = pl.col("baseline")
    eligible = (
        recorded.is_in(list(arms))
        & fresh.fill_null(value=True)
        & (pl.col("seen") >= trial.landmark - target.seen_within).fill_null(value=False)
        & (pl.col("ended") > trial.landmark).fill_null(value=True)
        & (pl.lit(low is None) | (baseline >= (low or 0.0)).fill_null(value=False))
        & (pl.lit(high is None) | (baseline <= (high or 0.0)).fill_null(value=False))
    )
    in_time = (begun <= trial.landmark).fill_null(value=False)
    return pl.when(eligible).then(pl.when(in_time).then(recorded).otherwise(pl.lit(reference)))


def _last(scores: pl.DataFrame) -> pl.DataFrame:
    """(patient, seen): when a score was last given."""
    return scores.group_by("patient").agg(seen=pl.col("time").max())


def _earliest(records: Records, measures: Sequence[str], name: str) -> pl.DataFrame:
    """(patient, `name`): the earliest row of engagement that says one of `measures`."""
    time = pl.col("time")
    said = pl.col("measure").is_in(list(measures)) & (pl.col("value") == 1.0) & time.is_finite()
    return (
        records.engagement.filter(said)
        .group_by("patient")
        .agg(time.min().round(TIME_DIGITS).alias(name))
    )
