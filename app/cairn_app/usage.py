"""What this process has used: wall seconds since it started, and peak memory."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def seconds_since_start() -> float:
    """Wall seconds since the process started, imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


def peak_memory_mb() -> float:
    """The most memory that this process held at once, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
