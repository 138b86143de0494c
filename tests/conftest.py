"""For every test: one thread a process for numeric libraries, since the suite runs in parallel.

A module runs in one process (`--dist loadscope`). Those that take longest begin first, so that at
the end no process waits for another's long one.
"""

from __future__ import annotations

import os

import pytest

LONGEST = ("tests/system/", "tests/privacy/test_empirical.py", "tests/app/")

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest modules first; the order within stays."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
