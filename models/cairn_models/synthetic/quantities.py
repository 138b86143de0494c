"""`quantities`: the calibration's numbers, as a study that sees only these records finds them.

Definitions (P = PHQ-9; 'at week 8' = the score nearest to week 8 within ±2, the earlier of two
equally near):

- mean, SD, correlation at week 0: over patients, of the scores at entry. The correlation is
  Pearson's between a patient's PHQ-9 and GAD-7.
- phq9 change per week: mean over patients with a score at week 8 of (P at week 8 - P at 0) / 8.
- hedges g against waiting: (mean P at week 8, waiting - arm) / pooled SD of P at week 8, times
  the small-sample factor 1 - 3 / (4 (n₁ + n₂) - 9); positive when the arm is better. End scores,
  as trial meta-analyses standardise them; completers only, as trials' observed means.
- measurement lost: share of patients whose last score lies before the window of week 8 (before
  week 6). A patient who misses the window and returns is not lost.
- programme stopped: among those who started, share with a 'stopped' at week 8 or before.
- monthly P: the score nearest to weeks 0, 4, 8, … within ±1.
- residual SD: over patients with at least 4 monthly P, least-squares line of each patient on
  weeks; √(Σ squared residuals / Σ (scores - 2)).
- correlation one month apart: Pearson's over all pairs of monthly P in successive months.
- site ICC: one-way analysis of variance, unequal sizes, of P at 0, and of the change to week 8
  as a deviation from its arm's mean (clinics differ in their mix of arms).
- share of women: `sex` = 'female'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.records import Records

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """One number: arm ('all' or a name), week (None = over the course), name, value."""

    arm: str
    week: int | None
    quantity: str
    value: float


def quantities(clinics: Sequence[Records], *, week: int = 8) -> list[Quantity]:
    """Every quantity of the module's docstring, from synthetic (or public) records in one place."""
    scores = _scores(clinics)
    patients = _patients(clinics)
    first = _near(scores.filter(pl.col("instrument") == "PHQ-9"), 0, 0, "start")
    phq9 = scores.filter(pl.col("instrument") == "PHQ-9")
    gad7 = _near(scores.filter(pl.col("instrument") == "GAD-7"), 0, 0, "gad7")
    both = first.join(gad7, on="patient")
    end = (
        patients.join(first, on="patient")
        .join(_near(phq9, week, 2, "end"), on="patient")
        .with_columns(change=pl.col("end") - pl.col("start"))
        .with_columns(beyond=pl.col("change") - pl.col("change").mean().over("arm"))
    )
    start = patients.join(first, on="patient")
    found = [
        Quantity("all", 0, "phq9 mean", _mean(first["start"])),
        Quantity("all", 0, "phq9 sd", _sd(first["start"])),
        Quantity("all", 0, "gad7 mean", _mean(gad7["gad7"])),
        Quantity("all", 0, "gad7 sd", _sd(gad7["gad7"])),
        Quantity(
            "all",
            0,
            "correlation phq9 gad7 between patients",
            float(np.corrcoef(both["start"].to_numpy(), both["gad7"].to_numpy())[0, 1]),
        ),
        Quantity("all", None, "share of women", _mean((patients["sex"] == "female").cast(float))),
        Quantity("all", 0, "site icc of phq9", icc(start, "start")),
        Quantity("all", week, "site icc of phq9 change", icc(end, "beyond")),
        *_over_the_course(phq9),
    ]
    waiting = end.filter(pl.col("arm") == "waiting")["end"]
    for arm in sorted(set(patients["arm"].drop_nulls())):
        of_arm = end.filter(pl.col("arm") == arm)
        rate = _mean(of_arm["change"]) / week
        found.append(Quantity(arm, week, "phq9 change per week", rate))
        found.append(Quantity(arm, week, "measurement lost", _lost(patients, scores, arm, week)))
        if arm != "waiting":
            g = hedges_g(waiting.to_numpy(), of_arm["end"].to_numpy())
            found.append(Quantity(arm, week, "hedges g against waiting", g))
        if arm.startswith("dmhi"):
            share = _stopped(clinics, patients, arm, week)
            found.append(Quantity(arm, week, "programme stopped", share))
    return found


def hedges_g(reference: Floats, other: Floats) -> float:
    """Standardised mean difference of end scores, positive when `other` is lower."""
    n1, n2 = len(reference), len(other)
    pooled = ((n1 - 1) * reference.var(ddof=1) + (n2 - 1) * other.var(ddof=1)) / (n1 + n2 - 2)
    d = (reference.mean() - other.mean()) / np.sqrt(pooled)
    return float(d * (1 - 3 / (4 * (n1 + n2) - 9)))


def icc(frame: pl.DataFrame, column: str) -> float:
    """Intraclass correlation of `column` by `site`: one-way ANOVA for unequal sizes."""
    sites = frame.group_by("site").agg(
        n=pl.len(), mean=pl.col(column).mean(), var=pl.col(column).var().fill_null(0.0)
    )
    n, mean, var = (sites[c].to_numpy().astype(float) for c in ("n", "mean", "var"))
    total, k = n.sum(), len(n)
    between = float((n * (mean - (n * mean).sum() / total) ** 2).sum() / (k - 1))
    within = float(((n - 1) * var).sum() / (total - k))
    usual = (total - (n**2).sum() / total) / (k - 1)
    return float((between - within) / (between + (usual - 1) * within))


def _over_the_course(phq9: pl.DataFrame) -> list[Quantity]:
    month = (pl.col("time") / 4).round()
    monthly = (
        phq9.with_columns(month=month, away=(pl.col("time") - 4 * month).abs())
        .filter(pl.col("away") <= 1)
        .sort("patient", "month", "away", "time")
        .group_by("patient", "month", maintain_order=True)
        .first()
    )
    t, y = pl.col("time"), pl.col("value")
    lines = (
        monthly.group_by("patient")
        .agg(
            n=pl.len(),
            tt=((t - t.mean()) ** 2).sum(),
            ty=((t - t.mean()) * (y - y.mean())).sum(),
            yy=((y - y.mean()) ** 2).sum(),
        )
        .filter(pl.col("n") >= 4)
    )
    tt, ty, yy, n = (lines[c].to_numpy().astype(float) for c in ("tt", "ty", "yy", "n"))
    pairs = monthly.join(
        monthly.select("patient", pl.col("month") - 1, then="value"), on=["patient", "month"]
    )
    correlation = np.corrcoef(pairs["value"].to_numpy(), pairs["then"].to_numpy())[0, 1]
    return [
        Quantity(
            "all",
            None,
            "residual sd of monthly phq9 around a patient's own line",
            float(np.sqrt((yy - ty**2 / tt).sum() / (n - 2).sum())),
        ),
        Quantity("all", None, "correlation of phq9 one month apart", float(correlation)),
    ]


def _near(scores: pl.DataFrame, week: int, window: int, name: str) -> pl.DataFrame:
    """patient · `name`: the score nearest to `week` within ±`window`."""
    away = (pl.col("time") - week).abs()
    return (
        scores.filter(away <= window)
        .with_columns(away=away)
        .sort("patient", "away", "time")
        .group_by("patient", maintain_order=True)
        .first()
        .select("patient", pl.col("value").alias(name))
    )


def _lost(patients: pl.DataFrame, scores: pl.DataFrame, arm: str, week: int) -> float:
    last = scores.group_by("patient").agg(pl.col("time").max())
    of_arm = patients.filter(pl.col("arm") == arm).join(last, on="patient", how="left")
    return _mean((of_arm["time"].fill_null(-1.0) < week - 2).cast(float))


def _stopped(clinics: Sequence[Records], patients: pl.DataFrame, arm: str, week: int) -> float:
    events = pl.concat([c.engagement for c in clinics])
    of_arm = patients.filter(pl.col("arm") == arm)
    started = events.filter(pl.col("measure") == "started").join(of_arm, on="patient", how="semi")
    stops = events.filter((pl.col("measure") == "stopped") & (pl.col("time") <= week))
    return stops.join(started, on="patient", how="semi").height / max(started.height, 1)


def _scores(clinics: Sequence[Records]) -> pl.DataFrame:
    return pl.concat([c.scores for c in clinics])


def _patients(clinics: Sequence[Records]) -> pl.DataFrame:
    return pl.concat(
        [
            c.patients.select("patient", "arm", "sex", site=pl.lit(number))
            for number, c in enumerate(clinics)
        ]
    )


def _mean(column: pl.Series) -> float:
    return float(column.to_numpy().mean())


def _sd(column: pl.Series) -> float:
    return float(column.to_numpy().std(ddof=1))
