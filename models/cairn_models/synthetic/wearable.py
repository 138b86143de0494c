"""`wearable_rows`: weekly means of a device, for those who wear one, with gaps and coverage."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.records import WEARABLES
from cairn_models.synthetic.draws import Draws, Floats
from cairn_models.synthetic.world import World

DAYS = 7


def wearable_rows(
    world: World, draws: Draws, symptoms: Floats, ids: NDArray[np.object_]
) -> pl.DataFrame:
    """The `wearables` table; `symptoms` (n, T) are true PHQ-9 points.

    A week's coverage is a share of whole days; the mean of fewer days is noisier. A week without
    a day of data has no row.
    """
    plan = world.wearables
    wears = draws.uniform("wearer") < plan.wearers
    given_up = np.cumsum(draws.uniform("worn") < plan.given_up, axis=1) > 0
    worn = wears[:, None] & ~given_up & (draws.uniform("gap") >= plan.gap)
    spread = 0.25 * draws.normal("coverage")
    days = np.clip(np.round(DAYS * (plan.coverage + spread)), 0, DAYS)
    row, week = np.nonzero(worn & (days > 0))
    covered = days[row, week] / DAYS
    away = symptoms[row, week] - world.symptoms.phq9_mean

    def weekly(name: str, mean: float, sd: float, slope: float) -> Floats:
        habit = draws.normal(name)[row] * sd
        noise = 0.35 * sd * draws.normal(f"{name}_week")[row, week] / np.sqrt(covered)
        level: Floats = mean + habit + slope * away + noise
        return level

    steps = weekly("steps", plan.steps_mean, plan.steps_sd, plan.steps_per_point)
    sleep = weekly("sleep", plan.sleep_mean, plan.sleep_sd, plan.sleep_per_point)
    pulse = weekly(
        "heart_rate", plan.heart_rate_mean, plan.heart_rate_sd, plan.heart_rate_per_point
    )
    measures = {
        "steps": np.round(np.clip(steps, 50, 40_000)),
        "sleep_hours": np.round(np.clip(sleep, 1.0, 14.0), 2),
        "resting_heart_rate": np.round(np.clip(pulse, 38, 120), 1),
    }
    frames = [
        pl.DataFrame(
            {
                "patient": pl.Series(ids[row], dtype=pl.String),
                "week": pl.Series(week, dtype=pl.Int64),
                "measure": pl.repeat(name, len(row), dtype=pl.String, eager=True),
                "value": pl.Series(values, dtype=pl.Float64),
                "coverage": pl.Series(covered, dtype=pl.Float64),
            },
            schema=WEARABLES,
        )
        for name, values in measures.items()
    ]
    return pl.concat(frames).sort("patient", "week", "measure")
