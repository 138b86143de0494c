"""Do 95 % intervals hold the truth in 95 of 100 studies? `make bench NAME=coverage`.

Studies of 1,000 and 3,000 synthetic patients in ten clinics, δ = 1e-6, a safe policy, ε = 1 for a
question, and ε = 0.3 beside it. The truth is the population that they are drawn from. *Naive* is
the same answer when the noise is forgotten.
"""

from __future__ import annotations

import itertools
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any, Final

from benchmarks.outcome import Outcome, Target
from benchmarks.studies_coverage import coverage
from benchmarks.studies_pool import Pool, population, study_of
from cairn_models.records import Records

PEOPLE: Final = 50_000
SIZES: Final = (1_000, 3_000)
STUDIES: Final = {1.0: 2_000, 0.3: 500}  # by ε
PROMISED: Final = 1.0  # the ε at which coverage is promised
LOWEST, HIGHEST = 0.93, 0.97
PAIR: Final = "dmhi_guided-waiting"
QUESTIONS: Final = {
    'kind = "effect"': {
        PAIR: "difference in mean change at week 8",
        f"g-{PAIR}": "Hedges' g",
    },
    'kind = "rates"': {
        f"reliable_improvement-difference-{PAIR}": "difference in reliable improvement",
        f"reliable_deterioration-difference-{PAIR}": "difference in reliable deterioration",
    },
    'kind = "retention"': {
        f"hazard_ratio-{PAIR}": "hazard ratio",
        "kept-waiting-8": "survival at week 8, waiting",
        "kept-dmhi_guided-8": "survival at week 8, guided",
        f"difference-{PAIR}": "difference in survival at week 8",
    },
}


def main() -> Outcome:
    """Rows by statistic, size and ε; a target for each statistic and size at ε = 1."""
    outcome, started = Outcome("coverage"), time.perf_counter()
    jobs = list(itertools.product(QUESTIONS, SIZES, STUDIES))
    workers = min(os.cpu_count() or 1, len(jobs))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for rows in pool.map(_measured, *zip(*jobs, strict=True)):
            outcome.rows += rows
    outcome.targets += [
        target
        for row in outcome.rows
        if row["epsilon"] == PROMISED
        for target in _promised(f"{row['what']}, N = {row['patients']:,}", row["coverage"])
    ]
    seconds = round(time.perf_counter() - started, 1)
    outcome.rows.append({"what": "the run", "seconds": seconds, "cores": os.cpu_count()})
    outcome.targets.append(Target("the run, s", seconds, "<=", 600.0))
    return outcome


@cache
def _records() -> Records:
    """The population; once a process."""
    return population(PEOPLE)


def _measured(asked: str, patients: int, epsilon: float) -> list[dict[str, Any]]:
    """The rows of one question at one size and ε."""
    studies, labels = STUDIES[epsilon], QUESTIONS[asked]
    pool = Pool.of(study_of(patients, asked, epsilon=epsilon), _records())
    found = coverage(pool, tuple(labels), patients=patients, studies=studies, seed=patients)
    return [
        {
            "what": label,
            "patients": patients,
            "epsilon": epsilon,
            "studies": studies,
            "shown": round(found[name].aware.shown / studies, 4),
            "coverage": round(found[name].aware.share, 4),
            "naive": round(found[name].naive.share, 4),
            "noise_share": round(
                found[name].aware.noise_share / max(found[name].aware.shown, 1), 3
            ),
        }
        for name, label in labels.items()
    ]


def _promised(what: str, share: float) -> tuple[Target, Target]:
    value = round(share, 4)
    return Target(what, value, ">=", LOWEST), Target(what, value, "<=", HIGHEST)
