"""What Flower says in a clinic's place is no answer: the grid asks again until its own deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import flwr.app.message.message as messages
import flwr.server.superlink.linkstate.in_memory_linkstate as link_state
import flwr.server.superlink.linkstate.utils as link_utils
import flwr.server.utils.validator as link_validator
import flwr.supercore.corestate.in_memory_corestate as core_state
import pytest
from flwr.app import Error, Message
from flwr.app.message import remove_content_from_message
from flwr.common.constant import Status
from flwr.server.superlink.utils import check_abort
from flwr.supercore.date import now
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes

from cairn_protocol.envelope import RECORD, unwrap
from cairn_server import fleet_grid
from cairn_server.fleet_grid import Ear, FleetGrid
from cairn_server.flower_private import FlowerState, act_as_server
from fleet_nodes import record, reply_of

NODES = (11, 12, 13)
SECONDS = 600.0


class Clock:
    """The wall clock, as Flower and we read it, that many seconds ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return now() + timedelta(seconds=self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made, real = Clock(), time.time
    for module in (messages, link_state, link_utils, link_validator, core_state):
        monkeypatch.setattr(module, "now", made.now)
    monkeypatch.setattr(time, "time", lambda: real() + made.ahead)
    monkeypatch.setattr(fleet_grid, "WAIT", 0.0)
    monkeypatch.setattr(fleet_grid, "LOOK_EVERY", 0.0)
    return made


@pytest.fixture(scope="module")
def keys() -> list[bytes]:
    return [public_key_to_bytes(generate_key_pairs()[1]) for _ in NODES]


@pytest.fixture
def state(keys: list[bytes]) -> FlowerState:
    made = FlowerState()
    act_as_server(1)
    for node, key in zip(NODES, keys, strict=True):
        made.admit(node, key)
    return made


@pytest.fixture
def grid(state: FlowerState, clock: Clock) -> Iterator[FleetGrid]:
    made = FleetGrid(state, "run", lambda node: None, Ear(), 1 << 20)
    yield made
    made.close()
    assert state.counts() == (0, 0, 0)


def ask(grid: FleetGrid, nodes: tuple[int, ...] = NODES, seconds: float = SECONDS) -> list[str]:
    return list(
        grid.push_messages([Message(record(b"?"), n, "query.round", ttl=seconds) for n in nodes])
    )


def said(grid: FleetGrid, asked: list[str]) -> dict[int, bytes | None]:
    """What each node is taken to have said; None for nothing."""
    return {
        reply.metadata.src_node_id: None
        if reply.has_error()
        else unwrap(reply.content.config_records[RECORD])
        for reply in grid.pull_messages(asked)
    }


def pulled(state: FlowerState, node: int) -> Message:
    (message,) = state.factory.state().get_message_ins(node, limit=1)
    return message


def push(state: FlowerState, reply: Message, parts: int | None = None) -> bool:
    """As Flower's fleet handlers store a reply; whether it was taken."""
    link, run = state.factory.state(), reply.metadata.run_id
    objects, tree = get_all_nested_objects(reply), get_object_tree(reply)
    reply.metadata.__dict__["_message_id"] = tree.object_id
    session = link.start_session(run)
    stored, missing = link.store_message_and_object_tree(
        remove_content_from_message(reply), tree, session
    )
    for part in missing[:parts]:
        link.store_object(run, session, part, objects[part].deflate())
    return stored


def all_answer(state: FlowerState, grid: FleetGrid, asked: list[str]) -> None:
    for node in NODES:
        assert push(state, reply_of(b"!", pulled(state, node)))
    assert said(grid, asked) == dict.fromkeys(NODES, b"!")


def sleep_until_a_link_calls(state: FlowerState, grid: FleetGrid, clock: Clock) -> None:
    """The machine slept, and a clinic's link is heard before anything of ours wakes."""
    clock.ahead = 61.0
    stopped = [Status.PENDING, Status.STARTING, Status.FINISHED]
    assert check_abort(grid._run_id, stopped, state.factory.state()) == "Run is finished."


def let_the_links_heartbeats_pass(state: FlowerState, grid: FleetGrid, clock: Clock) -> None:
    for node in NODES:
        state.factory.state().acknowledge_node_heartbeat(node, 15.0)
    clock.ahead = 59.0  # the run lives yet


def step_beyond_the_deadline(state: FlowerState, grid: FleetGrid, clock: Clock) -> None:
    clock.ahead = SECONDS + 1


def step_beyond_all_that_flower_keeps(state: FlowerState, grid: FleetGrid, clock: Clock) -> None:
    clock.ahead = 40 * 24 * 3600.0


def lose_the_messages(state: FlowerState, grid: FleetGrid, clock: Clock) -> None:
    state.clear(grid._run_id)


@pytest.mark.parametrize(
    "happens",
    [
        sleep_until_a_link_calls,
        let_the_links_heartbeats_pass,
        step_beyond_the_deadline,
        step_beyond_all_that_flower_keeps,
        lose_the_messages,
    ],
)
def test_no_clinic_is_silent_before_the_deadline(
    state: FlowerState,
    grid: FleetGrid,
    clock: Clock,
    happens: Callable[[FlowerState, FleetGrid, Clock], None],
) -> None:
    asked = ask(grid)
    assert said(grid, asked) == {}
    happens(state, grid, clock)
    assert said(grid, asked) == {}
    assert said(grid, asked) == {}
    all_answer(state, grid, asked)


def test_half_a_reply_that_flower_gave_up_is_asked_for_again(
    state: FlowerState, grid: FleetGrid, clock: Clock
) -> None:
    asked = ask(grid, NODES[:1])
    push(state, reply_of(b"half", pulled(state, NODES[0])), parts=1)
    assert said(grid, asked) == {}
    for clock.ahead in (50.0, 100.0, 150.0, 181.0):  # Flower's sessions live for 180 s
        assert said(grid, asked) == {}
    push(state, reply_of(b"whole", pulled(state, NODES[0])))
    assert said(grid, asked) == {NODES[0]: b"whole"}


def test_a_reply_is_taken_after_the_clock_stepped_past_the_deadline(
    state: FlowerState, grid: FleetGrid, clock: Clock
) -> None:
    asked = ask(grid, NODES[:1], 20.0)
    message = pulled(state, NODES[0])
    clock.ahead = 30.0
    assert said(grid, asked) == {}
    assert push(state, reply_of(b"!", message))
    assert said(grid, asked) == {NODES[0]: b"!"}


def test_a_clinic_is_told_the_real_deadline(state: FlowerState, grid: FleetGrid) -> None:
    """Flower keeps messages for longer; a link must not work for a round that went on."""
    ask(grid, NODES[:1])
    outline = pulled(state, NODES[0]).metadata
    inner = Message.inflate(
        state.factory.state().get_object(outline.run_id, outline.message_id) or b"",
        {part: record(b"") for part in _children(state, outline.message_id)},
    ).metadata
    assert SECONDS - 5 < inner.ttl <= SECONDS
    assert outline.ttl > SECONDS + 3600
    assert inner.created_at == outline.created_at


def _children(state: FlowerState, object_id: str) -> list[str]:
    tree = state.factory.state().object_store.get_object_tree(object_id)
    return [child.object_id for child in tree.children]


def test_a_run_that_ends_while_it_is_asked_costs_nothing(
    state: FlowerState, grid: FleetGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(state, "beat", lambda run: True)  # seen alive, and then it was not
        state.finish(grid._run_id)
        asked = ask(grid)
    assert said(grid, asked) == {}
    all_answer(state, grid, asked)


def test_the_deadline_is_the_end(
    state: FlowerState, grid: FleetGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(grid)
    later = time.monotonic() + SECONDS + 0.1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert said(grid, asked) == dict.fromkeys(NODES)


def test_a_clinic_that_is_revoked_is_waited_for_no_more(
    state: FlowerState, grid: FleetGrid
) -> None:
    asked = ask(grid)
    state.shut_out(NODES[1])
    assert said(grid, asked) == {NODES[1]: None}


def test_a_clinics_own_error_is_its_answer(state: FlowerState, grid: FleetGrid) -> None:
    asked = ask(grid, NODES[:1])
    push(state, Message(Error(0, "no"), reply_to=pulled(state, NODES[0])))
    assert said(grid, asked) == {NODES[0]: None}


def test_what_is_not_a_message_is_its_answer(
    state: FlowerState, grid: FleetGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(grid, NODES[:1])
    monkeypatch.setattr(grid, "_most", 10)
    push(state, reply_of(b"too large", pulled(state, NODES[0])))
    assert said(grid, asked) == {NODES[0]: None}
