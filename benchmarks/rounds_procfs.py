"""What Linux says of processes and of the loopback device: /proc, read without any privilege."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")
KB_PER_MB: Final = 1024


@dataclass(frozen=True)
class Seen:
    """A process: `start` (clock ticks since boot) tells it from a later one with the same id."""

    pid: int
    parent: int
    start: int
    cpu: float  # seconds, with those of children that ended
    peak_mb: float  # VmHWM; 0 for one that has ended and was not waited for


def family(root: int) -> list[Seen]:
    """The process `root` and all that descend from it; empty if it is gone."""
    seen: dict[int, Seen] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit() and (one := look(int(name))) is not None:
            seen[one.pid] = one
            children[one.parent].append(one.pid)
    found, ahead = [], [root] if root in seen else []
    while ahead:
        pid = ahead.pop()
        found.append(seen[pid])
        ahead += children[pid]
    return found


def look(pid: int) -> Seen | None:
    """One process; None if there is none."""
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        status = (folder / "status").read_text()
    except OSError:
        return None
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0")
    cpu = sum(map(int, fields[11:15])) / TICKS
    return Seen(pid, int(fields[1]), int(fields[19]), cpu, int(peak.split()[1]) / KB_PER_MB)


def loopback_bytes() -> int:
    """Bytes that the whole machine has sent over loopback, with TCP's and IP's headers."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[0])
    return 0
