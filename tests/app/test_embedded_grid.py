"""The in-memory Grid: the same answers as Flower's, for good replies, crashes and silence."""

from __future__ import annotations

import threading

import pytest
from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp

from cairn_app.embedded import EmbeddedGrid
from cairn_client.link import client_app
from cairn_server.coordinator import GridExchange


def crashing() -> ClientApp:
    app = ClientApp()

    @app.query("round")
    def handle(message: Message, context: object) -> Message:
        raise ValueError("phq9=27 of patient oak-17")

    return app


def test_each_node_gets_its_own_request_and_its_reply_comes_back_under_its_id() -> None:
    apps = {n: client_app(lambda body, n=n: body + bytes([n])) for n in (2, 3, 4)}
    with EmbeddedGrid(apps, workers=2) as grid:
        exchange = GridExchange(grid)
        replies = exchange("query.round", {n: b"to %d " % n for n in apps}, 10)
    assert replies == {n: b"to %d " % n + bytes([n]) for n in apps}


def test_a_client_that_crashes_is_absent_and_its_error_names_no_value() -> None:
    with EmbeddedGrid({2: crashing(), 3: client_app(bytes.upper)}) as grid:
        assert GridExchange(grid)("query.round", {2: b"x", 3: b"x"}, 10) == {3: b"X"}
        message = Message(RecordDict(), 2, "query.round")
        (reply,) = grid.send_and_receive([message], timeout=10)
    assert reply.error.reason == "ValueError"


def test_a_client_that_is_late_is_absent() -> None:
    gate = threading.Event()
    slow = client_app(lambda body: body if gate.wait(10) else b"")
    with EmbeddedGrid({2: slow, 3: client_app(bytes.upper)}, workers=2) as grid:
        replies = GridExchange(grid)("query.round", {2: b"x", 3: b"x"}, 0.2)
        gate.set()
    assert replies == {3: b"X"}


def test_a_reply_from_another_node_than_the_one_asked_is_dropped() -> None:
    class Crossed(EmbeddedGrid):
        def pull_messages(self, message_ids):  # type: ignore[no-untyped-def]
            replies = list(super().pull_messages(message_ids))
            for reply in replies:
                reply.metadata.__dict__["_src_node_id"] = 99
            return replies

    with Crossed({2: client_app(bytes.upper)}) as grid:
        assert GridExchange(grid)("query.round", {2: b"x"}, 1) == {}


def test_a_record_that_is_not_ours_reaches_the_keeper_as_an_empty_request() -> None:
    seen: list[bytes] = []

    def keeper(body: bytes) -> bytes:
        seen.append(body)
        return b"refused"

    with EmbeddedGrid({2: client_app(keeper)}) as grid:
        message = Message(RecordDict(), 2, "train.open")
        list(grid.send_and_receive([message], timeout=10))
    assert seen == [b""]


@pytest.mark.parametrize("body", [b"", b"\x00" * 300_000])
def test_bodies_of_any_size_pass(body: bytes) -> None:
    with EmbeddedGrid({2: client_app(lambda b: b)}) as grid:
        assert GridExchange(grid)("query.round", {2: body}, 10) == {2: body}
