"""A full disk at the clinic: nothing leaves, the words say what to do, and nothing is lost.

The disk is full for real, as far as this process is concerned: no file may grow.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_protocol.errors import CairnError
from cairn_protocol.messages import Refusal, Upload, decode
from keeper_bench import Bench

Make = Callable[..., Bench]


@contextmanager
def no_file_grows() -> Iterator[None]:
    """Every write beyond a file's first bytes fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_for_the_charge_nothing_leaves(
    bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    b = bench()
    b.set_up()
    request = b.request().to_bytes()
    with no_file_grows():
        reply = decode(b.keepers[0].forward(request))
    assert isinstance(reply, Refusal)
    assert "SECRET" not in caplog.text
    assert "ledger" in caplog.text, "the clinic's own log names what could not be written"


def test_with_room_again_a_restarted_keeper_has_every_charge_and_goes_on(bench: Make) -> None:
    b = bench()
    b.set_up()
    request = b.request()
    assert isinstance(b.ask(request), Upload)
    keeper, folder = b.keepers[0], b.keepers[0].clinic
    spent = keeper.ledger.spent()
    with no_file_grows():
        assert isinstance(b.ask(b.request(attempt=1)), Refusal)
    keeper.close()
    again = Keeper(folder)
    assert again.ledger.spent() >= spent
    assert again.ledger.entries()[0].state == "committed"
    again.close()


def test_the_ledger_says_that_the_disk_is_full_and_what_to_do(bench: Make) -> None:
    b = bench()
    b.set_up()
    ledger = b.keepers[0].ledger
    with no_file_grows(), pytest.raises(CairnError) as caught:
        ledger.reserve(bytes(32), "effect", 0, 0, 0.01)
    assert "disk" in f"{caught.value.why} {caught.value.hint}"


def test_the_keepers_store_says_it_too(bench: Make) -> None:
    b = bench()
    store = KeeperStore.of(b.keepers[0].clinic)
    with no_file_grows(), pytest.raises(CairnError) as caught:
        store.offer(b.signed, b.roster)
    assert "disk" in f"{caught.value.why} {caught.value.hint}"
