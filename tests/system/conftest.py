"""One federation for the tests of a module: starting one takes ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from system_bench import Federation, synthetic_clinics


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A server and three running clinics whose records are declared public.

    Nothing may stay of it: that is asserted at its end.
    """
    root = Path(tmp_path_factory.mktemp("federation"))
    made = Federation(root)
    for name in synthetic_clinics(root, (60, 90, 120), data="public"):
        made.add_clinic(name)
    try:
        made.init()
        made.run_server()
        made.enter_all()
        yield made
    finally:
        made.stop()
