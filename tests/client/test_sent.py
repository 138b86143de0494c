"""The list of what left: each upload once, as it left, and nothing that was held back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from cairn_client.audit_log.log import FILE
from cairn_client.keeper_client import OUTGOING, KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.sockets import Sockets
from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.messages import Refusal, Upload, decode
from cairn_protocol.proto import keeper_pb2
from cairn_protocol.proto import outgoing_pb2 as pb
from keeper_bench import Bench

Make = Callable[..., Bench]


class Kept:
    """A bench whose first clinic's keeper is a service, keys agreed."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.settle(0)
        self.clinic = bench.keepers[0].clinic
        self.on_step: Callable[[str], None] = lambda step: None
        self.start()
        bench.server.receive(0, self.ask(bench.opening.to_bytes()))  # type: ignore[arg-type]
        bench.everyone(bench.opening, but=[0])
        packages = bench.server.packages()
        bench.server.receive(0, self.ask(packages.to_bytes()))  # type: ignore[arg-type]
        bench.everyone(packages, but=[0])

    def start(self) -> None:
        self.service = KeeperService(self.clinic, passing=self.passing)
        self.link = KeeperClient(Sockets(self.clinic.path).link)
        self.people = KeeperClient(Sockets(self.clinic.path).admin)

    def passing(self, step: str) -> None:
        self.on_step(step)

    def stop(self) -> None:
        self.link.close()
        self.people.close()
        self.service.stop()

    def ask(self, request: bytes) -> object:
        self.reply = self.link.forward(request)
        return decode(self.reply)

    def sent(self, study: str = "") -> list[pb.SentUpload]:
        request = pb.SentRequest(study=study)
        return list(self.people.admin("Sent", request, pb.SentReply, service=OUTGOING).uploads)

    def decide(self, state: str) -> None:
        view = self.people.admin("Show", keeper_pb2.ShowRequest(study="tiny"), keeper_pb2.StudyView)
        decision = keeper_pb2.Decision(
            study=view.line.digest, roster=view.roster_digest, state=state, person="Ada"
        )
        self.people.admin("Decide", decision, keeper_pb2.StudyLine)


@pytest.fixture
def kept(bench: Make) -> Iterator[Kept]:
    one = Kept(bench())
    yield one
    one.stop()


def test_an_upload_is_listed_once_as_it_left_and_as_it_was_charged(kept: Kept) -> None:
    assert kept.sent() == [], "keys were agreed; nothing of a patient left"
    request = kept.bench.request().to_bytes()
    upload = kept.ask(request)
    assert isinstance(upload, Upload)
    (one,) = kept.sent()
    (charge,) = kept.service._keeper.ledger.entries()
    assert (one.question, one.round, one.attempt) == ("effect", 0, 0)
    assert (one.name, one.study) == ("tiny", kept.bench.signed.digest.hex())
    assert one.bytes == len(kept.reply)
    assert one.sha256 == hashlib.sha256(kept.reply).hexdigest()
    assert one.upload == upload.upload_digest.hex() == charge.upload
    assert one.epsilon == epsilon_of_rho(charge.units * RHO_UNIT, 1e-6)
    assert 0.9 < one.epsilon <= 1.0
    assert one.at > 1_700_000_000
    kept.ask(request)
    assert kept.sent() == [one], "the same bytes again"
    assert kept.sent("tiny") == [one]
    with pytest.raises(PolicyRefusal, match="study-unknown"):
        kept.sent("other")


def test_what_a_pause_held_back_is_not_listed_before_it_leaves(kept: Kept) -> None:
    kept.on_step = lambda step: kept.decide("paused") if step == "answered" else None
    request = kept.bench.request().to_bytes()
    assert isinstance(kept.ask(request), Refusal)
    assert [c.state for c in kept.service._keeper.ledger.entries()] == ["committed"]
    assert kept.sent() == []
    kept.on_step = lambda step: None
    kept.decide("approved")
    assert isinstance(kept.ask(request), Upload)
    assert [one.bytes for one in kept.sent()] == [len(kept.reply)]


def test_what_left_before_there_was_a_log_is_listed_from_the_ledger(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn_privacy.ledger.now", lambda: "2026-01-02T03:04:05+00:00")
    kept.ask(kept.bench.request().to_bytes())
    (before,) = kept.sent()
    kept.stop()
    for file in kept.clinic.state.glob(f"{FILE}*"):
        file.unlink()
    kept.start()
    (one,) = kept.sent()
    assert (one.bytes, one.sha256) == (0, "")
    assert (one.upload, one.question, one.name) == (before.upload, "effect", "tiny")
    assert one.epsilon == before.epsilon
