"""`versions` and `resources`: whether this machine can run what a study asks of it."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import resource
import sqlite3
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final, Self

from cairn_client.doctor.finding import Finding, ok, problem, warning
from cairn_protocol.codec import VERSION

DISTRIBUTION: Final = "cairn-federated"
OLDEST_PYTHON: Final = (3, 11)
OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables
PINNED: Final = ("flwr",)
# Measured: docs/clinic-service.md. A keeper with torch loaded, and one that trains.
LEAST_MEMORY: Final = 700 << 20
GOOD_MEMORY: Final = 1536 << 20


@dataclass(frozen=True)
class Machine:
    """What this machine has. Bytes."""

    memory: int  # that can still be had
    cpus: int

    @classmethod
    def here(cls) -> Self:
        """By /proc and the cgroup's own limit, whichever is less."""
        return cls(min(_available(), _cgroup_left()), len(os.sched_getaffinity(0)))


def versions(running: str = "") -> Iterator[Finding]:
    """Cairn, its protocol, Python, SQLite, OpenSSL, and the library that is pinned.

    Args:
        running: the version of the keeper that answers, if one does.
    """
    try:
        ours = version(DISTRIBUTION)
    except PackageNotFoundError:
        ours = "unknown"
    yield ok("versions.cairn", f"Cairn {ours}, protocol {VERSION}")
    if running and running != ours:
        yield warning(
            "versions.keeper-older",
            f"the keeper that runs is Cairn {running}, installed is {ours}",
            why="it was updated and not restarted",
            remedy="restart keeper and link",
        )
    if sys.version_info < OLDEST_PYTHON:
        yield problem(
            "versions.python",
            f"Python {platform.python_version()} is too old",
            why="Cairn needs 3.11 or newer",
            remedy="install a newer Python and Cairn into it",
        )
    else:
        yield ok("versions.python", f"Python {platform.python_version()}")
    yield from map(_pinned, PINNED)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        yield problem(
            "versions.sqlite",
            f"SQLite {sqlite3.sqlite_version} is too old",
            why="the ledger's tables need 3.37",
            remedy="use a Python that was built with a newer SQLite",
        )
    if not ssl.HAS_TLSv1_3:
        yield problem(
            "versions.tls",
            f"{ssl.OPENSSL_VERSION} knows no TLS 1.3",
            remedy="use a Python that was built with OpenSSL 1.1.1 or newer",
        )


def resources(machine: Machine | None = None) -> Iterator[Finding]:
    """Memory and torch, as a study that trains a model needs them."""
    machine = machine or Machine.here()
    there = f"{machine.memory >> 20:,} MB of memory can be had, {machine.cpus} CPU"
    if machine.memory < LEAST_MEMORY:
        yield problem(
            "resources.memory",
            f"only {there}",
            why=f"a keeper that trains needs {LEAST_MEMORY >> 20} MB",
            remedy="end other programs, or give the machine or the container more memory; "
            "docs/clinic-service.md has a table",
        )
    elif machine.memory < GOOD_MEMORY:
        yield warning(
            "resources.memory",
            f"only {there}",
            why=f"{GOOD_MEMORY >> 20} MB leave room for an import beside a round",
            remedy="give the machine or the container more memory; docs/clinic-service.md",
        )
    else:
        yield ok("resources.memory", there)
    if importlib.util.find_spec("torch") is None:
        yield warning(
            "resources.torch",
            "torch is not installed",
            why="statistics can be answered, a model cannot be trained",
            remedy=f"pip install '{DISTRIBUTION}[clinic]'",
        )


def _pinned(name: str) -> Finding:
    try:
        here = version(name)
        wanted = next(
            found[1]
            for line in requires(DISTRIBUTION) or ()
            if (found := re.match(rf"{name}\s*==\s*([0-9.]+)\.\*", line))
        )
    except (PackageNotFoundError, StopIteration):
        return problem(
            "versions.pinned",
            f"{name} is not installed as Cairn wants it",
            remedy=f"install Cairn anew: pip install {DISTRIBUTION}",
        )
    if here == wanted or here.startswith(f"{wanted}."):
        return ok("versions.pinned", f"{name} {here}")
    return problem(
        "versions.pinned",
        f"{name} {here} is installed, Cairn needs {wanted}",
        why="another version may speak to the server in another way",
        remedy=f"pip install '{name}=={wanted}.*', in an environment of Cairn's own",
    )


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return resource.getpagesize() * os.sysconf("SC_AVPHYS_PAGES")


def _cgroup_left() -> int:
    """What a container's or a unit's own limit leaves; a large number where there is none."""
    group = Path("/sys/fs/cgroup")
    try:
        here = Path("/proc/self/cgroup").read_text().strip().rpartition("::/")[2]
        folder = group / here if (group / here / "memory.max").exists() else group
        limit = (folder / "memory.max").read_text().strip()
        if limit.isdigit():
            return max(0, int(limit) - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return 1 << 62
