"""What was decided while a reply waited for its slot's end: the reply does not leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cairn_client.audit_log.log import AuditLog
from cairn_client.keeper_client import KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.leaving_admin import SERVICE as LEAVING
from cairn_client.sockets import Sockets
from cairn_protocol.messages import Closed, KeyPackage, Refusal, Upload, decode
from cairn_protocol.proto import keeper_pb2, leaving_pb2
from cairn_protocol.record import Message
from keeper_bench import Bench

Make = Callable[..., Bench]
UNAPPROVED = "policy.study-not-approved"


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


class Waiting:
    """A bench whose first clinic's keeper is a service; `then` happens in the next slot's wait."""

    def __init__(self, bench: Bench, service: KeeperService) -> None:
        self.bench, self.service = bench, service
        self.clinic = bench.keepers[0].clinic
        self.then: Callable[[], object] = lambda: None
        self.link = KeeperClient(Sockets(self.clinic.path).link)
        self.people = KeeperClient(Sockets(self.clinic.path).admin)
        service._slots._sleep = self._sleep

    def _sleep(self, seconds: float) -> None:
        now, self.then = self.then, lambda: None
        now()
        time.sleep(min(seconds, 0.02))

    def forward(self, request: bytes) -> bytes:
        """The bench's own keeper is this one, behind its socket."""
        return self.link.forward(request)

    def ask(self, message: Message) -> Message:
        return decode(self.forward(message.to_bytes()))

    def decide(self, state: str) -> None:
        signed, roster = self.bench.signed.digest, self.bench.roster.roster.digest
        decision = keeper_pb2.Decision(
            study=signed.hex(), roster=roster.hex(), state=state, person="Ada"
        )
        self.people.admin("Decide", decision, keeper_pb2.StudyLine)

    def pause(self) -> None:
        self.decide("paused")

    def leave(self) -> None:
        asked = leaving_pb2.LeaveStudyRequest(study=self.bench.signed.digest.hex(), person="Ada")
        self.people.admin("LeaveStudy", asked, leaving_pb2.LeaveStudyReply, 60, LEAVING)

    def tighten(self) -> None:
        (self.clinic.path / "policy.toml").write_text("min_clinics = 4\n")

    def spoil(self) -> None:
        (self.clinic.path / "policy.toml").write_text("min_clinics = four\n")

    def audit(self, kind: str) -> list[str]:
        with AuditLog.of(self.clinic) as log:
            return [entry.text for entry in log.entries(kinds=(kind,))]


@pytest.fixture
def waiting(bench: Make) -> Iterator[Waiting]:
    b = bench()
    b.settle(0)
    with KeeperService(b.keepers[0].clinic) as service:
        found = Waiting(b, service)
        b.keepers[0] = found  # type: ignore[call-overload]
        yield found
        found.link.close()
        found.people.close()


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (Waiting.leave, UNAPPROVED),
        (Waiting.tighten, "policy.clinic-policy"),
        (Waiting.spoil, "policy.clinic-policy-unusable"),
    ],
)
def test_an_upload_does_not_leave_after(
    waiting: Waiting, act: Callable[[Waiting], None], code: str
) -> None:
    waiting.bench.set_up()
    waiting.then = lambda: act(waiting)
    assert refused(waiting.ask(waiting.bench.request())) == code


def test_an_upload_that_a_pause_holds_back_stays_ready_and_its_refusal_keeps_to_the_slot(
    waiting: Waiting,
) -> None:
    waiting.bench.set_up()
    request = waiting.bench.request()
    waiting.then = waiting.pause
    start = time.monotonic()
    assert refused(waiting.ask(request)) == UNAPPROVED
    assert time.monotonic() - start >= waiting.service._slots.seconds
    assert len(waiting.audit("upload")) == 1, "written down before anybody knew"
    assert len(waiting.audit("refused")) == 1
    assert UNAPPROVED in waiting.audit("refused")[0]
    waiting.decide("approved")
    assert isinstance(waiting.ask(request), Upload)
    assert len(waiting.audit("upload")) == 1


def test_keys_and_kept_replies_are_held_back_too(waiting: Waiting) -> None:
    waiting.then = waiting.pause
    assert refused(waiting.ask(waiting.bench.opening)) == UNAPPROVED
    waiting.decide("approved")
    waiting.bench.set_up()
    request = waiting.bench.request()
    assert isinstance(waiting.ask(request), Upload)
    waiting.then = waiting.pause
    assert refused(waiting.ask(request)) == UNAPPROVED, "the kept one"
    closing = waiting.bench.server.close("done").get(0)
    assert closing is not None
    assert isinstance(waiting.ask(closing), Closed), "the end of a run is heard in a pause"


def test_a_reply_does_not_wait_for_another_requests_turn(waiting: Waiting) -> None:
    """When it leaves would tell how long the other one takes (V5)."""
    held = threading.Event()

    def hold() -> None:
        with waiting.service._turn:
            held.set()
            left.wait(10)

    left = threading.Event()
    other = threading.Thread(target=hold)

    def begin() -> None:
        other.start()
        assert held.wait(10)

    waiting.then = begin
    try:
        assert isinstance(waiting.ask(waiting.bench.opening), KeyPackage)
        assert not left.is_set()
        assert other.is_alive(), "it left in the middle of the other's turn"
    finally:
        left.set()
        other.join(10)
