"""What this process uses: wall seconds since it started, peak memory, torch's threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def seconds_since_start() -> float:
    """Wall seconds since the process started, imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


def peak_memory_mb() -> float:
    """The most memory that this process held at once, in MB.

    From /proc, where it begins anew with the program; getrusage's also counts the process that
    started it, which may have been a larger one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Give torch one thread, where it is loaded: the clinics already run side by side."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
