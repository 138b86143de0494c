"""What the promise costs in time: `make bench NAME=privacy`.

Noise beside NumPy's (predictable, floating-point) normal, bounding a clinic's patients, accounting
both ways, and appends to a ledger that waits for the disk. Noise is timed in CPU too, which other
work on the machine does not stretch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import thread_time

import numpy as np

from benchmarks.large_ledger import large_ledger
from benchmarks.outcome import Outcome, Target, median, seconds
from cairn_privacy.accounting import epsilon_of_rho, epsilon_pld
from cairn_privacy.bound import bounded_sum
from cairn_privacy.chain import verify_export
from cairn_privacy.ledger import Ledger
from cairn_privacy.noise import plan_noise
from cairn_privacy.sampler import discrete_gaussian
from cairn_protocol.policy import Policy

LENGTH = 100_000
SIGMAS = (4.0, 100.5, 65_537.0, 113_031.7, 1e8)  # steps; 65,537 is the sampler's worst case
CHARGES = 200


def main() -> Outcome:
    """Runs all of it; about ten seconds."""
    outcome = Outcome("privacy")
    generator = np.random.default_rng(1)
    normal = median(seconds(lambda: generator.normal(size=LENGTH), 15, thread_time))
    outcome.rows.append({"what": "numpy normal, 100k", "cpu_seconds": normal})
    slowest = 0.0
    for sigma in SIGMAS:
        wall = median(seconds(lambda s=sigma: discrete_gaussian(s, LENGTH), 15))
        cpu = median(seconds(lambda s=sigma: discrete_gaussian(s, LENGTH), 15, thread_time))
        slowest = max(slowest, cpu)
        outcome.rows.append(
            {"what": "noise, 100k", "sigma": sigma, "seconds": wall, "cpu_seconds": cpu}
        )
    rows = generator.normal(size=(300, 5_700))
    bounding = median(seconds(lambda: bounded_sum([rows], 5_700, 0.5), 9))
    outcome.rows.append({"what": "bound 300 patients x 5,700", "seconds": bounding})

    forth = median(seconds(lambda: plan_noise(2.0, 1e-6, 60, Policy()), 9))
    back = median(seconds(lambda: epsilon_of_rho(0.1, 1e-6), 9))
    pld = median(seconds(lambda: epsilon_pld(17.2772, 60, 1e-6), 3))
    outcome.rows.append({"what": "accounting", "plan": forth, "epsilon": back, "pld": pld})

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        with Ledger.create(path, clinic="bench", cap_epsilon=8.0, delta=1e-6) as ledger:
            attempts = iter(range(CHARGES + 1))

            def charge() -> None:
                entry = ledger.reserve(bytes(32), "q", 0, next(attempts), 1e-6)
                ledger.commit(entry, bytes(32))

            pair = median(seconds(charge, CHARGES))
    outcome.rows.append({"what": "reserve and commit", "seconds": pair})
    outcome.rows.append(_large())
    outcome.targets = [
        Target("100k coordinates of noise, CPU seconds", slowest, "<=", 0.05),
        Target("accounting both ways, seconds", forth + back + pld, "<=", 1.0),
    ]
    return outcome


def _large() -> dict[str, str | float]:
    """A ledger of 100,000 links: opened with every link verified, charged, checked as an export."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        study = large_ledger(path)[0]
        opening = median(seconds(lambda: Ledger.open(path).close(), 3, thread_time))
        with Ledger.open(path) as ledger:
            attempts = iter(range(CHARGES + 1))

            def charge() -> None:
                number = bytes.fromhex(study.study)
                ledger.reserve(number, "effect", 0, next(attempts), 1e-9, account=study)

            charging = median(seconds(charge, CHARGES))
            text = ledger.export()
    checking = median(seconds(lambda: verify_export(text), 1, thread_time))
    return {
        "what": "ledger of 100,000 links",
        "open_cpu_seconds": opening,
        "reserve_seconds": charging,
        "verify_cpu_seconds": checking,
    }
