"""The fleet endpoint: rounds over real TLS with Flower's own client, restarts, bounds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from flwr.app import Message
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest

from cairn_protocol.errors import InputError
from cairn_server import fleet_gate, fleet_grid
from cairn_server.coordinator import GridExchange
from cairn_server.fleet import FleetEndpoint
from cairn_server.fleet_roster import NodeBook
from fleet_nodes import Authority, FakeLink, authority, record, reply_of


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("team"))


@pytest.fixture(autouse=True)
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_gate, "HOLD", 0.2)


@pytest.fixture
def fleet(team: Authority) -> Iterator[FleetEndpoint]:
    with FleetEndpoint(None, "127.0.0.1", 0, team.certificate, team.key) as endpoint:
        yield endpoint


SERVER = """
import sys
from pathlib import Path
from cairn_server.coordinator import GridExchange
from cairn_server.fleet import FleetEndpoint

database, port, certificate, key, node = sys.argv[1:]
with FleetEndpoint(
    Path(database), "127.0.0.1", int(port), Path(certificate), Path(key)
) as fleet:
    oak = fleet.enrol(node.encode())
    print(oak, flush=True)
    exchange = GridExchange(fleet.grid("s"))
    for _ in range(10000):
        exchange("query", {oak: b"old"}, 5)
"""
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(
        str(ROOT / part) for part in ("protocol", "privacy", "models", "server")
    ),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def ask(fleet: FleetEndpoint, node: int, body: bytes = b"?", name: str = "s") -> str:
    """One question that nobody waits for."""
    grid = fleet.grid(name)
    (identifier,) = grid.push_messages([Message(record(body), node, "query", ttl=60.0)])
    return identifier


def pull(node: FakeLink) -> Message:
    """The next message to a node, which must come soon."""
    for _ in range(50):
        if message := node.pull():
            return message
    raise AssertionError("nothing came")


def refused(status: int, call: Callable[..., object], *arguments: object) -> str:
    """The refusal's code; fails if `call` is not refused with that status."""
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call(*arguments)
    assert caught.value.response.status_code == status
    return str(caught.value.response.json()["code"])


def link(fleet: FleetEndpoint, team: Authority, name: bytes = b"") -> tuple[int, FakeLink]:
    made = FakeLink(fleet.address, team.ca, lambda body: name + body)
    return fleet.enrol(made.public_key), made


def test_every_clinic_is_asked_and_answers(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team, b"oak:")
    elm, second = link(fleet, team, b"elm:")
    exchange = GridExchange(fleet.grid("a study"))
    before = datetime.now(UTC)
    with first, second:
        for stage in range(5):
            asked = {oak: b"x%d" % stage, elm: b"y%d" % stage}
            assert exchange("query", asked, 10) == {
                oak: b"oak:x%d" % stage,
                elm: b"elm:y%d" % stage,
            }
    assert fleet._state.counts() == (0, 0, 0)  # nothing stays
    seen = fleet.last_seen(oak)
    assert seen is not None
    assert before < seen < datetime.now(UTC)


def test_a_megabyte_each_way(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team)
    body = bytes(range(256)) * 4096
    with first:
        assert GridExchange(fleet.grid("s"))("query", {oak: body}, 20) == {oak: body}


def test_a_silent_clinic_is_waited_for_and_absent(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team)
    elm, _ = link(fleet, team)
    grid = fleet.grid("s")
    with first:
        start = time.monotonic()
        assert set(GridExchange(grid)("query", {oak: b"a", elm: b"b"}, 1.5)) == {oak}
        assert 1.4 < time.monotonic() - start < 4
        # The next stage starts clean, and what elm was asked is not asked any more.
        assert set(GridExchange(grid)("query", {oak: b"c"}, 10)) == {oak}


def test_what_nobody_waits_for_any_more_is_withdrawn(fleet: FleetEndpoint, team: Authority) -> None:
    """A clinic that comes back after its round went on does not work, and charge, for nothing."""
    worked: list[bytes] = []

    def work(body: bytes) -> bytes:
        worked.append(body)
        return body

    late = FakeLink(fleet.address, team.ca, work)
    elm = fleet.enrol(late.public_key)
    oak, first = link(fleet, team)
    exchange = GridExchange(fleet.grid("s"))

    def until_oak(replies: dict[int, bytes]) -> float:
        return 0.0 if oak in replies else float("inf")

    with first:
        start = time.monotonic()
        assert set(exchange("query", {oak: b"1", elm: b"1"}, 60, until_oak)) == {oak}
        assert time.monotonic() - start < 5
        assert fleet._state.counts() == (0, 0, 0), "elm has nothing to fetch"
        with late:
            assert exchange("query", {oak: b"2", elm: b"2"}, 20) == {oak: b"2", elm: b"2"}
    assert worked == [b"2"]


def test_a_clinic_that_comes_late_is_in_time(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team)
    timer = threading.Timer(0.7, first.__enter__)
    timer.start()
    assert GridExchange(fleet.grid("s"))("query", {oak: b"a"}, 10) == {oak: b"a"}
    timer.join()
    first.__exit__()


def test_a_revoked_clinic_is_absent_at_once(fleet: FleetEndpoint, team: Authority) -> None:
    oak, _ = link(fleet, team)
    fleet.revoke(oak)
    start = time.monotonic()
    assert GridExchange(fleet.grid("s"))("query", {oak: b"a"}, 30) == {}
    assert time.monotonic() - start < 2


def test_revoked_in_the_middle_of_a_stage(fleet: FleetEndpoint, team: Authority) -> None:
    oak, _ = link(fleet, team)
    timer = threading.Timer(0.5, fleet.revoke, [oak])
    timer.start()
    start = time.monotonic()
    assert GridExchange(fleet.grid("s"))("query", {oak: b"a"}, 30) == {}
    assert time.monotonic() - start < 5
    timer.join()


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_a_link_killed_before_its_reply_was_whole(
    fleet: FleetEndpoint, team: Authority, parts: int
) -> None:
    oak, dying = link(fleet, team, b"again:")
    got: dict[int, bytes] = {}
    grid = fleet.grid("s")
    stage = threading.Thread(
        target=lambda: got.update(GridExchange(grid)("query", {oak: b"a"}, 15))
    )
    dying.activate()
    stage.start()
    message = pull(dying)
    if parts:
        dying.push(reply_of(b"half", message), parts=parts)
    dying.client.close()
    with FakeLink(fleet.address, team.ca, dying.handler, dying.keys):
        stage.join(15)
    assert got == {oak: b"again:a"}
    assert fleet._state.counts() == (0, 0, 0)


def test_a_pull_held_for_a_dead_link_takes_nothing(
    fleet: FleetEndpoint, team: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a partition the server does not see that the old connection is dead."""
    monkeypatch.setattr(fleet_gate, "HOLD", 5.0)
    oak, old = link(fleet, team)
    old.activate()
    old.pull()
    held: list[str] = []
    waiting = threading.Thread(target=lambda: held.append(refused(409, old.pull)))
    waiting.start()
    time.sleep(0.3)
    with FakeLink(fleet.address, team.ca, old.handler, old.keys):
        assert GridExchange(fleet.grid("s"))("query", {oak: b"a"}, 4) == {oak: b"a"}
    waiting.join()
    assert held == ["replaced"]


def test_a_link_is_seen_even_if_it_only_beats(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team)
    assert fleet.last_seen(oak) is None
    first.activate()
    before = datetime.now(UTC)
    first.client.SendNodeHeartbeat(SendNodeHeartbeatRequest(node=first.node, heartbeat_interval=30))
    seen = fleet.last_seen(oak)
    assert seen is not None
    assert seen > before


def test_a_run_that_flower_ended_goes_on(fleet: FleetEndpoint, team: Authority) -> None:
    """A minute without a heartbeat of ours, as when the machine slept."""
    oak, first = link(fleet, team)
    grid = fleet.grid("s")
    got: dict[int, bytes] = {}
    stage = threading.Thread(
        target=lambda: got.update(GridExchange(grid)("query", {oak: b"a"}, 15))
    )
    stage.start()
    until(lambda: fleet._state.counts()[0] == 1)
    fleet._state.finish(grid.run.run_id)
    grid.keep_alive()
    with first:
        stage.join()
        assert got == {oak: b"a"}
        fleet._state.finish(grid.run.run_id)
        assert GridExchange(grid)("query", {oak: b"b"}, 10) == {oak: b"b"}


def test_a_link_is_not_blamed_for_a_run_that_flower_ended(
    fleet: FleetEndpoint, team: Authority
) -> None:
    """Flower's 403 would tell the clinic that it was revoked, and to join again."""
    oak, first = link(fleet, team)
    first.activate()
    identifier = ask(fleet, oak)
    grid = fleet.grid("s")
    message = pull(first)
    fleet._state.finish(grid.run.run_id)
    assert refused(503, first.push, reply_of(b"!", message)) == "run"
    first.activate()  # as a link does after any failed call
    first.push(reply_of(b"again", pull(first)))
    (reply,) = grid.pull_messages([identifier])
    assert not reply.has_error()


def test_a_goodbye_changes_nothing(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team)
    first.activate()
    identifier = ask(fleet, oak)
    assert fleet.grid("s").pull_messages([identifier]) == []
    first.client.DeactivateNode(DeactivateNodeRequest(node_id=oak))
    time.sleep(fleet_grid.LOOK_EVERY + 0.1)
    assert fleet.grid("s").pull_messages([identifier]) == []
    assert first.pull() is not None


def test_a_clinic_that_flower_thinks_is_gone_is_waited_for(
    fleet: FleetEndpoint, team: Authority
) -> None:
    oak, first = link(fleet, team)
    first.activate()
    identifier = ask(fleet, oak)
    fleet._state.factory.state().deactivate_node(oak)  # as after a minute of silence
    assert fleet.grid("s").pull_messages([identifier]) == []
    assert first.pull() is not None


def test_enrolment_is_idempotent_and_revocation_for_ever(
    fleet: FleetEndpoint, team: Authority
) -> None:
    oak, first = link(fleet, team)
    assert fleet.enrol(first.public_key) == oak
    fleet.revoke(oak)
    fleet.revoke(oak)
    with pytest.raises(InputError, match="revoked"):
        fleet.enrol(first.public_key)
    with pytest.raises(InputError, match="no such node"):
        fleet.revoke(oak + 1)


@pytest.mark.parametrize("spoil", [lambda k: k + b"\n", lambda k: b"no key", lambda k: b""])
def test_only_keys_in_flowers_form_are_enrolled(
    fleet: FleetEndpoint, team: Authority, spoil: object
) -> None:
    _, first = link(fleet, team)
    with pytest.raises(InputError, match="node key"):
        fleet.enrol(spoil(first.public_key))  # type: ignore[operator]


def test_nodes_outlive_the_server_and_old_messages_do_not(tmp_path: Path, team: Authority) -> None:
    database = tmp_path / "flower.sqlite"
    where = ("127.0.0.1", 0, team.certificate, team.key)
    with FleetEndpoint(database, *where) as fleet:
        oak, first = link(fleet, team)
        elm, second = link(fleet, team)
        fleet.revoke(elm)
        first.activate()
        assert GridExchange(fleet.grid("s"))("query", {oak: b"late"}, 0.1) == {}
        stale = ask(fleet, oak)
        message = pull(first)
    assert stale
    with FleetEndpoint(database, *where) as fleet:
        assert fleet.enrol(first.public_key) == oak
        with pytest.raises(InputError, match="revoked"):
            fleet.enrol(second.public_key)
        grid = fleet.grid("s")
        again = FakeLink(fleet.address, team.ca, first.handler, first.keys)
        again.activate()
        refused(410, again.push, reply_of(b"of an earlier life", message))
        assert fleet._state.counts() == (0, 0, 0)
        with again:
            assert GridExchange(grid)("query", {oak: b"new"}, 10) == {oak: b"new"}
    assert database.stat().st_mode & 0o777 == 0o600


def test_a_killed_server_comes_back(tmp_path: Path, team: Authority) -> None:
    """kill -9 in a stage; the same port; the link that was there all the time goes on."""
    database = tmp_path / "flower.sqlite"
    port = free_port()
    link_of_oak = FakeLink(("127.0.0.1", port), team.ca)
    program = [
        sys.executable,
        "-c",
        SERVER,
        *map(str, (database, port, team.certificate, team.key)),
        link_of_oak.public_key.decode(),
    ]
    first = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert first.stdout is not None
    oak = int(first.stdout.readline())
    with link_of_oak:
        until(lambda: link_of_oak.answered > 3)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with FleetEndpoint(database, "127.0.0.1", port, team.certificate, team.key) as fleet:
            assert GridExchange(fleet.grid("s"))("query", {oak: b"new"}, 20) == {oak: b"new"}
            assert fleet._state.counts() == (0, 0, 0)


def test_another_process_enrols_and_revokes(tmp_path: Path, team: Authority) -> None:
    database = tmp_path / "flower.sqlite"
    with FleetEndpoint(database, "127.0.0.1", 0, team.certificate, team.key) as fleet:
        other = NodeBook(database)
        first = FakeLink(fleet.address, team.ca)
        other.enrol(first.public_key)
        time.sleep(1.1)
        oak = first.activate()
        other.revoke(oak)
        time.sleep(1.1)
        refused(401, first.pull)


def test_a_finished_run_leaves_nothing_and_its_name_is_free(
    fleet: FleetEndpoint, team: Authority
) -> None:
    oak, _ = link(fleet, team)
    grid = fleet.grid("s")
    first = grid.run.run_id
    assert GridExchange(grid)("query", {oak: b"a"}, 0.05) == {}
    fleet.finish("s")
    assert fleet._state.counts() == (0, 0, 0)
    assert fleet.grid("s").run.run_id != first


def test_the_port_is_taken(fleet: FleetEndpoint, team: Authority) -> None:
    other = FleetEndpoint(None, *fleet.address, team.certificate, team.key)
    with pytest.raises(InputError, match="cannot listen"), other:
        pass


def test_a_certificate_that_is_not_one(tmp_path: Path, team: Authority) -> None:
    for certificate, key in ((tmp_path / "none.pem", team.key), (team.key, team.key)):
        endpoint = FleetEndpoint(None, "127.0.0.1", 0, certificate, key)
        with pytest.raises(InputError, match="certificate or key"), endpoint:
            pass
