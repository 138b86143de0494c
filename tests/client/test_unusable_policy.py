"""A policy.toml that cannot be used: nothing leaves, nothing of it is told, and people can act."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.clinic_policy import PolicyFile
from cairn_client.keeper_client import KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.outward import outward
from cairn_client.sockets import Sockets
from cairn_protocol.errors import BudgetRefusal, CairnError, InputError, PolicyRefusal
from cairn_protocol.messages import AuditHead, AuditRequest, KeyPackage, Offer, Refusal, decode
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.record import Message
from keeper_bench import Bench, write_clinic

Make = Callable[..., Bench]
LOOSE = "max_epsilon_patient = 9.5\n"  # as clinic.toml's cap is 8
UNUSABLE = "policy.clinic-policy-unusable"


def told(reply: Message) -> str:
    """A refusal's code, after a look at its words."""
    assert isinstance(reply, Refusal), reply
    words = f"{reply.what} {reply.why} {reply.hint}"
    for secret in ("9.5", "epsilon", "toml", "/", "8"):
        assert secret not in words.replace("`cairn clinic doctor`", ""), words
    return reply.code


def test_a_policy_that_breaks_while_an_answer_is_computed_is_not_told(bench: Make) -> None:
    b = bench()
    b.settle(0)
    file = b.keepers[0].clinic.path / "policy.toml"
    b.boot(0, passing=lambda step: file.write_text(LOOSE) if step == "answered" else None)
    b.set_up()
    assert told(b.ask(b.requests())) == UNUSABLE


def test_what_this_clinic_cannot_use_is_named_by_its_code_alone() -> None:
    error = InputError("/home/x is no file", code="file-missing", why="9.5 in it", hint="mv /a /b")
    assert told(outward(error)) == "input.file-missing"
    spent = BudgetRefusal("the budget is used up", code="cap-reached", why="8 of 9.5 spent")
    assert told(outward(spent)) == "budget.cap-reached"
    said = PolicyRefusal("no", code="no", why="because", hint="ask")
    assert outward(said) == Refusal("policy.no", "no", "because", "ask")


class Served:
    """A clinic's keeper as a service, with the study approved by one person."""

    def __init__(self, bench: Bench) -> None:
        bench.settle(0)
        self.bench = bench
        self.folder: ClinicFolder = bench.keepers[0].clinic
        bench.keepers[0].close()
        self.file = self.folder.path / "policy.toml"
        self.start()

    def start(self) -> None:
        self.service = KeeperService(self.folder)
        self.people = KeeperClient(Sockets(self.folder.path).admin)

    def stop(self) -> None:
        self.people.close()
        self.service.stop()

    def ask(self, message: Message) -> Message:
        return decode(self.service._forward(pb.Frame(cairn=message.to_bytes())).cairn)

    def status(self) -> pb.StatusReply:
        return self.people.admin("Status", pb.StatusRequest(), pb.StatusReply)

    def decide(self, state: str) -> pb.StudyLine:
        b = self.bench
        roster = b.roster.roster.digest.hex()
        decision = pb.Decision(study=b.signed.digest.hex(), roster=roster, state=state)
        decision.person = "Ada"
        return self.people.admin("Decide", decision, pb.StudyLine)


@pytest.fixture
def served(bench: Make) -> Iterator[Served]:
    made = Served(bench())
    yield made
    made.stop()


def test_people_can_pause_whatever_the_policy_says(served: Served) -> None:
    b = served.bench
    assert isinstance(served.ask(AuditRequest(1, ())), AuditHead)
    served.file.write_text(LOOSE)
    assert told(served.ask(b.opening)) == UNUSABLE
    assert told(served.ask(Offer(b.signed, b.roster))) == UNUSABLE
    assert [line.state for line in served.status().studies] == ["offered"], "two may be needed"
    with pytest.raises(CairnError, match="unanswerable"):
        served.decide("approved")
    served.decide("paused")
    # The log's head, before which the decision is written down: it gets so far at any time.
    assert told(served.ask(AuditRequest(2, ()))) == "peer.receipt-missing"
    served.stop()
    served.start()
    assert [line.state for line in served.status().studies] == ["paused"]
    served.file.unlink()
    reply = served.ask(b.opening)
    assert isinstance(reply, Refusal)
    assert reply.code == "policy.study-not-approved"
    served.decide("approved")
    assert isinstance(served.ask(b.opening), KeyPackage)


def test_a_policy_that_cannot_be_used_needs_two(tmp_path: Path) -> None:
    folder = write_clinic(tmp_path / "oak", "oak")
    file, policy = PolicyFile(ClinicFolder.open(folder)), folder / "policy.toml"
    assert file.approvals() == 1
    policy.symlink_to(folder / "nowhere")
    assert file.approvals() == 2, "a link to nothing is not the file that was away before"
    policy.unlink()
    policy.symlink_to(policy)
    assert file.approvals() == 2
    policy.unlink()
    policy.write_text("approvals = 1\n")
    assert file.approvals() == 1
