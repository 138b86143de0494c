"""What secure aggregation costs: `make bench NAME=masking`, about ten minutes.

Beside our protocol stand, in the same run, this machine's own limit (keystream and addition),
Flower's SecAgg+ and CKKS with TenSEAL. Seconds are processor time (user and system), medians over
clinics and repeats, unless they are called wall: so that other work on the machine shows little.
Everything is on one machine and one core at a time; nothing listens, nothing is sent.
"""

from __future__ import annotations

import os
import statistics
from typing import Any, Final

from benchmarks.masking_cairn import cairn_row, lone_row, memory_row
from benchmarks.masking_ckks import ckks_row
from benchmarks.masking_flower import MINUTE, flower_row
from benchmarks.masking_keeper import keeper_row
from benchmarks.masking_limit import best_block
from benchmarks.masking_parties import Size
from benchmarks.outcome import Outcome, Target

Row = dict[str, Any]
SIZES: Final = (  # with the number of rounds that are measured
    (Size(3, 10_000), 30),
    (Size(10, 6_000), 15),
    (Size(10, 6_000, dropped=1), 15),
    (Size(10, 100_000), 15),
    (Size(10, 100_000, dropped=1), 15),
    (Size(10, 1_000_000), 9),
    (Size(10, 1_000_000, dropped=1), 9),
    (Size(10, 1_000_000, bits=24), 9),
    (Size(30, 1_000_000), 5),
    (Size(30, 1_000_000, dropped=3), 5),
    (Size(100, 10_000), 3),
    (Size(100, 10_000, dropped=10), 3),
    (Size(100, 100_000), 3),
    (Size(100, 100_000, dropped=10), 3),
)
LONE: Final = Size(1_000, 2_000_000)
FLOWER: Final = (  # clinics, length, dropped, runs
    (3, 10_000, 0, 3),
    (10, 6_000, 0, 3),
    (10, 6_000, 1, 3),
    (10, 100_000, 0, 3),
    (10, 1_000_000, 0, 3),
    (10, 1_000_000, 1, 3),
    (30, 1_000_000, 0, 1),
    (100, 10_000, 0, 1),
    (100, 100_000, 0, 1),
    (1_000, 2_000_000, 0, 1),
)
CKKS: Final = ((3, 10_000), (10, 6_000), (10, 100_000), (10, 1_000_000), (100, 10_000))
KEEPER_ROUNDS: Final = 20


def main() -> Outcome:
    """Measure, and say which targets are met."""
    outcome = Outcome("masking")
    load = [round(value, 1) for value in os.getloadavg()]
    outcome.rows.append({"what": "machine", "cores": os.cpu_count(), "load_average": load})
    block, speed = best_block()
    outcome.rows.append({"what": "limit", "block_bytes": block, "bytes_a_second": round(speed)})
    ours = {size: cairn_row(size, repeats, block) for size, repeats in SIZES}
    ours[LONE] = lone_row(LONE, 3, block)
    memory = memory_row(Size(10, 1_000_000))
    packed = memory_row(Size(10, 1_000_000, bits=24))
    keepers = keeper_row(KEEPER_ROUNDS)
    theirs = {
        (clinics, length, dropped): median_row(
            [flower_row(clinics, length, dropped) for _ in range(runs)]
        )
        for clinics, length, dropped, runs in FLOWER
    }
    outcome.rows += [*ours.values(), memory, packed, keepers, *theirs.values()]
    outcome.rows += [ckks_row(clinics, length) for clinics, length in CKKS]
    outcome.rows.append(
        {"what": "load at the end", "load_average": [round(v, 1) for v in os.getloadavg()]}
    )
    outcome.targets = targets(ours, memory, keepers, theirs)
    return outcome


def median_row(rows: list[Row]) -> Row:
    """The first of `rows` with the median of each number in them."""
    return rows[0] | {
        key: statistics.median(row[key] for row in rows)
        for key, value in rows[0].items()
        if isinstance(value, float) and all(key in row for row in rows)
    }


def targets(
    ours: dict[Size, Row], memory: Row, keepers: Row, theirs: dict[tuple[int, int, int], Row]
) -> list[Target]:
    """Every figure that was promised, for masking alone: no noise, sealing, disk; and no digests
    and signatures, where a row says "alone"."""
    million, lone = ours[Size(10, 1_000_000)], ours[LONE]
    hundred, longer = ours[Size(100, 10_000)], ours[Size(100, 100_000)]
    made = [
        Target(f"masks over the limit, n={row['clinics']}, d={row['length']}", value, ">=", 0.6)
        for row in (million, ours[Size(30, 1_000_000)], longer, lone)
        if (value := row["of_limit"])
    ]
    made += [
        Target("n=10, d=1M: upload, s", million["upload_alone"], "<=", 0.011),
        Target("n=10, d=1M: unmask, s", million["unmask"], "<=", 0.0015),
        Target("n=10, d=1M: server's sum, s", million["server_sum"], "<=", 0.012),
        Target("n=100, d=10k: server's sum, s", hundred["server_sum"], "<=", 0.012),
        Target("n=1000, d=2M: upload, s", lone["upload_alone"], "<=", 0.9),
        Target("n=10, d=1M: a clinic's memory, vectors", memory["clinic"], "<=", 3.0),
        Target("n=10, d=6k: keeper end to end, s on the wall", keepers["clinic_wall"], "<=", 0.025),
    ]
    flower = theirs[10, 1_000_000, 0]
    if "clinic" in flower:
        alone = flower["clinic"] / (million["upload_alone"] + million["unmask_alone"])
        what = "SecAgg+ over ours, n=10, d=1M: clinic"
        made.append(Target(what, round(alone, 1), ">=", 8.0))
    for row in (hundred, longer):
        flower = theirs[row["clinics"], row["length"], 0]
        if flower.get("stopped") in ("", "server"):
            what = f"SecAgg+ over ours, n=100, d={row['length']}: server"
            if flower["stopped"]:
                what += f", at least (SecAgg+'s was stopped after {MINUTE:.0f} s)"
            ratio = flower["server"] / row["server_alone"]
            made.append(Target(what, round(ratio), ">=", 1000.0))
    return made
