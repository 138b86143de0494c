"""What noise costs in precision, and a whole study in time: `make bench NAME=effects`.

Precision: repeated studies of 3,000 synthetic patients in ten clinics, δ = 1e-6, a safe policy,
ε = 1 for a question, beside local noise and the plan. Then the template's primary results with
ε = 3 for all its questions, and a run of the template over 20 clinics × 500 patients, beside the
same answers computed in one place.
"""

from __future__ import annotations

import os
import time
from typing import Final

from benchmarks import effects_template
from benchmarks.effects_precision import widened
from benchmarks.outcome import Outcome, Target
from benchmarks.studies_pool import Pool, population, study_of

PATIENTS: Final = 3_000
PEOPLE: Final = 50_000
STUDIES: Final = 2_000
MOST, MOST_ELSEWHERE = 0.15, 0.35
PAIR: Final = "dmhi_guided-waiting"
EIGHT: Final = (3, 4, 5, 6, 7, 8, 10, 12)  # nobody can be lost before 2, the window
AT: Final = 8


def main() -> Outcome:
    """Rows and targets of all three parts."""
    outcome, started = Outcome("effects"), time.perf_counter()
    outcome.rows.append({"what": "machine", "cores": os.cpu_count()})
    records = population(PEOPLE)
    for asked, names in _asked().items():
        pool = Pool.of(study_of(PATIENTS, asked, epsilon=1.0), records)
        for found in widened(pool, list(names), patients=PATIENTS, studies=STUDIES, seed=2):
            outcome.rows.append(
                {
                    "what": f"{asked.splitlines()[0]}: {found.name}",
                    "patients": PATIENTS,
                    "epsilon": 1.0,
                    "shown": round(found.shown, 4),
                    "standard_error_without": round(found.without, 5),
                    "inflation": round(found.measured, 4),
                    "planned": None if found.planned is None else round(found.planned, 4),
                    "local": round(found.local, 4),
                }
            )
            what = f"{asked.splitlines()[0]}, {found.name}: inflation"
            outcome.targets.append(Target(what, round(found.measured, 4), "<=", names[found.name]))
    effects_template.precision(outcome)
    effects_template.run(outcome)
    seconds = round(time.perf_counter() - started, 1)
    outcome.rows.append({"what": "the run", "seconds": seconds})
    return outcome


def _asked() -> dict[str, dict[str, float]]:
    """Settings of a question → its numbers with the most that noise may widen each."""
    rates = {
        f"{outcome}-difference-{PAIR}": MOST
        for outcome in ("reliable_improvement", "reliable_deterioration", "reliable_recovery")
    }
    curve = {f"difference-{PAIR}": MOST, f"hazard_ratio-{PAIR}": MOST_ELSEWHERE}
    for arm in ("waiting", "dmhi_guided"):
        curve |= {f"kept-{arm}-{end}": MOST if end == AT else MOST_ELSEWHERE for end in EIGHT}
    return {
        'kind = "effect"': {PAIR: MOST},
        'kind = "rates"': rates,
        f'kind = "retention"\nends = {list(EIGHT)}\nat = {AT}': curve,
    }
