"""What a round costs beyond its computation: `make bench NAME=rounds`, about four minutes.

The clinics answer with a constant vector as long as the trajectory network. In one run stand side
by side: all in one process, with and without waiting for the disk; a server and clinics as real
processes over TLS; and plain Flower as real processes over TLS, without our protocol. Everything
listens on 127.0.0.1, lives in a temporary folder, and is ended.
"""

from __future__ import annotations

import os

from benchmarks import rounds_coordinator, rounds_embedded, rounds_flower
from benchmarks.outcome import Outcome


def main() -> Outcome:
    """Measure, and say which targets are met."""
    outcome = Outcome("rounds")
    outcome.rows.append(
        {"what": "machine", "cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    )
    rounds_embedded.measure(outcome)
    overhead = rounds_coordinator.measure(outcome)
    rounds_flower.measure(outcome, overhead)
    return outcome
