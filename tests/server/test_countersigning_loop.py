"""The server asks for heads when they are due, keeps receipts, and notes a log that was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import delete, insert

from cairn_client.audit_log.countersigned import Countersigned
from cairn_client.audit_log.kinds import event
from cairn_client.audit_log.log import AuditLog
from cairn_protocol.errors import CairnError
from cairn_protocol.identity import Identity
from cairn_protocol.messages import AuditRequest, Refusal, decode
from cairn_server.countersigning import BROKEN_OFF, FIRST_WAIT, STAGE, Countersigning
from cairn_server.store import Store
from cairn_server.store_audits import AuditStore
from cairn_server.store_tables import Clinic, StoredRun, StoredStudy, audits, clinics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEAM = Identity.from_private_bytes(b"t" * 32)
HOUR = 3600.0


@dataclass
class World:
    """A server's store, and clinics with real audit logs; time passes when a test says so."""

    folder: Path
    store: Store
    at: float = 0.0
    away: set[str] = field(default_factory=set)
    logs: dict[str, AuditLog] = field(default_factory=dict)
    keys: dict[str, Identity] = field(default_factory=dict)
    tried: list[tuple[str, float]] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    spoil: Callable[[bytes], bytes] = bytes

    def __post_init__(self) -> None:
        self.audits = AuditStore(self.store)
        self.server = self.made()

    def made(self) -> Countersigning:
        return Countersigning(
            self.store,
            lambda: TEAM,
            lambda: self.exchange,
            lambda _: datetime.now(UTC),
            clock=lambda: self.at,
            now=lambda: NOW + timedelta(seconds=self.at),
        )

    def join(self, name: str) -> None:
        key = self.keys[name] = Identity.generate()
        node = len(self.keys)
        with self.store.transaction() as c:
            row = Clinic(name, key.public, name.encode(), node, "enrolled", NOW, None)
            c.execute(insert(clinics).values(**vars(row)))
        self.begin(name)

    def begin(self, name: str, file: str = "audit.sqlite") -> None:
        """The clinic's log in that file."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        identity = self.keys[name].public
        begun = event("begun", clinic=name, identity=identity.hex())
        self.logs[name] = AuditLog(folder / file, identity, begun)

    def exchange(
        self, stage: str, requests: Mapping[int, bytes], seconds: float, until: object = None
    ) -> dict[int, bytes]:
        assert stage == STAGE
        replies = {}
        for name, node in zip(self.keys, range(1, 1 + len(self.keys)), strict=True):
            if node not in requests:
                continue
            self.tried.append((name, self.at))
            if name in self.away:
                continue
            request = decode(requests[node])
            assert isinstance(request, AuditRequest)
            self.asked.append((name, request.number))
            clinic = Countersigned(self.logs[name], self.keys[name], lambda: TEAM.public)
            try:
                reply = clinic.answer(request).to_bytes()
            except CairnError as error:
                reply = Refusal.of(error).to_bytes()
            replies[node] = self.spoil(reply)
        return replies

    def run(self, *, ended: datetime | None) -> None:
        """A run that goes on, or has ended."""
        digest = b"s" * 32
        self.store.add_study(StoredStudy(digest, "s", b"", b"", "finished", NOW))
        state = "finished" if ended else "running"
        self.store.start_run(StoredRun(b"r" * 16, digest, state, NOW, ended, ""))

    def number(self, name: str) -> int:
        last = self.audits.last(self.keys[name].public)
        return last.number if last else 0

    def codes(self, name: str) -> list[str]:
        return [i.code for i in self.audits.incidents(self.keys[name].public)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open_file(tmp_path / "store.sqlite") as store:
        made = World(tmp_path, store)
        made.join("ash")
        made.join("elm")
        yield made
        for log in made.logs.values():
            log.close()


def test_every_clinic_is_asked_hourly_and_gets_its_receipt(world: World) -> None:
    world.server.look()
    assert world.asked == [(name, 1) for name in ("ash", "elm", "ash", "elm")], "and handed over"
    for name in ("ash", "elm"):
        (receipt,) = world.logs[name].receipts()
        assert receipt.body == world.audits.last(world.keys[name].public).receipt
        assert receipt.genuine(TEAM.public)
    world.at = HOUR - 1
    world.server.look()
    assert len(world.asked) == 4
    world.at = HOUR
    world.server.look()
    assert world.number("ash") == 2
    assert len(world.audits.of(world.keys["ash"].public)) == 1, "the newest stands for all"


def test_nobody_is_asked_while_a_run_is_on_and_everybody_after_it(world: World) -> None:
    world.server.look()
    world.run(ended=None)
    world.at = 2 * HOUR
    world.server.look()
    assert world.number("ash") == 1
    world.store.end_run(
        b"r" * 16, state="finished", reason="", at=NOW + timedelta(seconds=world.at)
    )
    world.at += 1
    world.server.look()
    assert world.number("ash") == world.number("elm") == 2
    world.at += 60
    world.server.look()
    assert world.number("ash") == 2


def test_a_clinic_that_is_away_is_asked_ever_more_seldom(world: World) -> None:
    world.away = {"elm"}
    while world.at < 3 * HOUR:
        world.server.look()
        world.at += FIRST_WAIT
    tried = [at for name, at in world.tried if name == "elm"]
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits[:4] == [15, 30, 60, 120]
    assert max(waits) <= HOUR
    world.away, world.at = set(), 4 * HOUR
    world.server.look()
    assert world.number("elm") == 1


def test_a_rewritten_log_gets_no_receipt_and_is_noted_once(world: World) -> None:
    world.server.look()
    world.logs["ash"].append(event("signed-in", person="Ada"))
    world.logs["ash"].close()
    whole = world.folder / "ash" / "audit.sqlite"
    for file in whole.parent.glob("audit.sqlite*"):
        file.unlink()
    world.begin("ash")  # the operator begins anew, and hopes that nobody notices
    for hour in range(1, 4):
        world.at = hour * HOUR
        world.server.look()
    kept = world.audits.of(world.keys["ash"].public)
    assert [audit.number for audit in kept] == [1, 4], "the one that proves what is missing stays"
    assert world.codes("ash") == [BROKEN_OFF]
    gap, *_ = world.logs["ash"].entries(kinds=("gap",))
    assert gap.fields["head"] == kept[0].given.head.hex()


@pytest.mark.parametrize("fault", ["forged", "differs"])
def test_a_reply_that_gets_no_receipt_is_noted(world: World, fault: str) -> None:
    world.server.look()
    clinic = Countersigned(world.logs["elm"], world.keys["ash"], lambda: TEAM.public)

    def other(reply: bytes) -> bytes:
        message = decode(reply)
        if message.identity != world.keys["ash"].public:  # type: ignore[union-attr]
            return reply
        if fault == "forged":
            return reply[:-1] + bytes((reply[-1] ^ 1,))
        return clinic._signed(2, b"x" * 32, 2).to_bytes()  # another log's previous head

    world.spoil = other
    for hour in (1, 2, 3):
        world.at = hour * HOUR
        world.server.look()
    assert world.codes("ash") == [f"peer.audit-{fault}"]
    assert world.number("ash") == 1
    assert world.number("elm") == 4


def test_a_restored_server_takes_its_receipts_up_again_at_once(world: World) -> None:
    for hour in range(5):
        world.at = hour * HOUR
        world.server.look()
    with world.store.transaction() as c:
        c.execute(delete(audits))
    world.server = world.made()
    world.server.look()
    assert world.number("ash") == world.number("elm") == 5
    world.at += HOUR
    world.server.look()
    assert world.number("ash") == 6
    assert world.codes("ash") == []


def test_a_refusal_for_another_reason_is_no_incident(world: World) -> None:
    refusal = Refusal("peer.kind-unknown", "an older version").to_bytes()
    world.spoil = lambda _: refusal
    world.server.look()
    assert world.codes("ash") == []
    assert world.number("ash") == 0
