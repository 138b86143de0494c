"""One federation for the tests of a module: starting one takes ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from system_bench import Federation, synthetic_clinics


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and three running clinics, and a fourth clinic's folder that has not joined.

    Their records are declared public, so that they answer studies with noise and without. Nothing
    may stay of the processes: that is asserted at the end.
    """
    root = Path(tmp_path_factory.mktemp("federation"))
    *names, _ = synthetic_clinics(root, (60, 90, 120, 80), data="public")
    made = Federation(root, members=tuple(names))
    for name in names:
        made.add_clinic(name)
    try:
        made.init()
        made.run_server()
        made.enter_all()
        yield made
    finally:
        made.stop()
