"""The fleet endpoint: rounds over real TLS with Flower's own client, restarts, bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cairn_protocol.errors import InputError
from cairn_server import fleet_gate
from cairn_server.coordinator import GridExchange
from cairn_server.fleet import FleetEndpoint
from fleet_nodes import Authority, FakeLink, authority, reply_of


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("team"))


@pytest.fixture(autouse=True)
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_gate, "HOLD", 0.2)


@pytest.fixture(params=["memory", "file"])
def fleet(
    request: pytest.FixtureRequest, tmp_path: Path, team: Authority
) -> Iterator[FleetEndpoint]:
    database = tmp_path / "flower.sqlite" if request.param == "file" else None
    with FleetEndpoint(database, "127.0.0.1", 0, team.certificate, team.key) as endpoint:
        yield endpoint


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


def test_a_clinic_that_comes_late_is_in_time(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team)
    timer = threading.Timer(0.7, first.__enter__)
    timer.start()
    assert GridExchange(fleet.grid("s"))("query", {oak: b"a"}, 10) == {oak: b"a"}
    timer.join()
    first.__exit__()


def test_a_revoked_clinic_is_absent_at_once(fleet: FleetEndpoint, team: Authority) -> None:
    oak, first = link(fleet, team)
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
    message = None
    for _ in range(20):
        message = message or dying.pull()
    assert message is not None
    if parts:
        dying.push(reply_of(b"half", message), parts=parts)
    dying.client.close()
    with FakeLink(fleet.address, team.ca, dying.handler, dying.keys):
        stage.join(15)
    assert got == {oak: b"again:a"}
    assert fleet._state.counts() == (0, 0, 0)


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


def test_nodes_and_runs_outlive_the_server(tmp_path: Path, team: Authority) -> None:
    database = tmp_path / "flower.sqlite"
    where = ("127.0.0.1", 0, team.certificate, team.key)
    with FleetEndpoint(database, *where) as fleet:
        oak, first = link(fleet, team)
        run = fleet.grid("s").run.run_id
        first.activate()
        # Asked and half answered when the server dies.
        fleet.grid("s").push_messages([])
        assert GridExchange(fleet.grid("s"))("query", {oak: b"stale"}, 0.1) == {}
        first.pull()
    with FleetEndpoint(database, *where) as fleet:
        assert fleet.enrol(first.public_key) == oak
        assert fleet.grid("s").run.run_id == run
        assert fleet._state.counts() == (0, 0, 0)
        with FakeLink(fleet.address, team.ca, first.handler, first.keys):
            assert GridExchange(fleet.grid("s"))("query", {oak: b"new"}, 10) == {oak: b"new"}
    assert database.stat().st_mode & 0o777 == 0o600


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
