"""What training is worth at an ε, beside its baselines: `make bench NAME=utility`.

Two synthetic worlds, the default one and one outside what pre-training drew; ten clinics of 300
patients, δ = 1e-6, noise by the policy for ten (six of ten count); five seeds. The question is the
shipped one with its default settings, but nobody is held out: the errors are those of 200 further
patients of each clinic. Gradients are clipped and noised in floating point: this measures worth,
not protection.

A seed and world take two to three minutes of one core; as many run at once as there are cores.
`QUICK=1` takes one seed of each world. Progress goes to the error stream.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from benchmarks import utility_seed as names
from benchmarks.outcome import Outcome, Target
from benchmarks.utility_clinics import BANDS
from benchmarks.utility_seed import WORLDS, Found, one_seed, private

SEEDS = (10, 11, 12, 13, 14)
BEATEN = (names.RIDGE, names.PRIVATE_RIDGE, names.LOCAL, names.ALONE_BEST)


def main() -> Outcome:
    """Errors by world and predictor, the gap closed, and coverage of bands."""
    seeds = SEEDS[:1] if os.environ.get("QUICK") else SEEDS
    jobs = [(world, seed) for seed in seeds for world in WORLDS]
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    workers = min(len(jobs), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(one_seed, *zip(*jobs, strict=True)))
    outcome = Outcome("utility")
    for world in WORLDS:
        _report(outcome, world, [one for one in found if one.world == world])
    return outcome


def _report(outcome: Outcome, world: str, found: Sequence[Found]) -> None:
    """Rows and targets of one world; ± is the standard deviation over seeds."""
    pairs = {name: np.array([f.errors[name].pair for f in found]) for name in found[0].errors}
    for name, values in pairs.items():
        row: dict[str, object] = {
            "world": world,
            "predictor": name,
            "mae": round(float(values.mean()), 3),
            "sd": round(float(values.std(ddof=1)), 3) if len(found) > 1 else None,
            "mae_per_patient": round(float(np.mean([f.errors[name].patient for f in found])), 3),
        }
        if name in found[0].bands:
            cover = np.mean([f.bands[name] for f in found], axis=0)
            row |= {
                f"cover_{100 * b:.0f}": round(float(c), 3)
                for b, c in zip(BANDS, cover, strict=True)
            }
        outcome.rows.append(row)
    model = private(names.EPSILON)
    gap = pairs[names.PRIOR] - pairs[names.EVERYTHING]
    closed = float((pairs[names.PRIOR] - pairs[model]).mean() / gap.mean())
    outcome.rows.append({"world": world, "gap_closed": round(closed, 3)})
    if world == "far":
        outcome.targets.append(Target("far: share of the gap closed at ε = 2", closed, ">=", 0.8))
    for name in BEATEN:
        gain = float((pairs[name] - pairs[model]).mean())
        outcome.targets.append(Target(f"{world}: less error than {name}, points", gain, ">=", 0.0))
    worst = float(np.mean([f.worst_gain for f in found]))
    outcome.targets.append(
        Target(f"{world}: least gain over a clinic alone, of its own patients", worst, ">=", 0.0)
    )
    for band, cover in zip(BANDS, np.mean([f.bands[model] for f in found], axis=0), strict=True):
        off = abs(float(cover) - band)
        outcome.targets.append(
            Target(f"{world}: {100 * band:.0f} % bands, off by", off, "<=", 0.05)
        )
