"""Countersigning an audit log (SPEC 17): whatever either side sends, no receipt goes back."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.countersigning import (
    NOT_CONTINUED,
    Shown,
    broken_off,
    countersigned,
    due,
)
from cairn_protocol.errors import PeerFault
from cairn_protocol.identity import Identity
from cairn_protocol.messages import UNSIGNED, AuditHead, AuditReceipt, AuditRequest, decode

TEAM, CLINIC, STRANGER = (Identity.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))


@dataclass
class Log:
    """A clinic's log as far as SPEC 17 needs one; a list can be set back, as a disk can."""

    heads: dict[int, bytes] = field(default_factory=dict)
    gaps: set[int] = field(default_factory=set)
    receipts: dict[int, AuditReceipt] = field(default_factory=dict)
    drawn: int = 0

    @property
    def newest(self) -> int:
        return max({0, *self.heads, *self.gaps})

    def answer(self, request: AuditRequest, identity: Identity = CLINIC) -> AuditHead:
        shown = Shown(self.newest, self.heads, self.newest in self.receipts)
        owed = due(request, shown, team=TEAM.public, identity=identity.public)
        for receipt in request.receipt:
            self.receipts.setdefault(receipt.number, receipt)
            if owed.gap:
                self.gaps.add(receipt.number)
        if owed.new:
            self.drawn += 1
            self.heads[request.number] = self.drawn.to_bytes(16, "big") * 2
        number = request.number
        whole = number - 1 in self.heads and number - 1 not in self.gaps
        previous = self.heads[number - 1] if whole else NOT_CONTINUED
        head = AuditHead(
            identity.public, number, self.heads[number], previous, self.newest, UNSIGNED
        )
        return head.with_signature(identity.sign("audit head", head.signed))


@dataclass
class Team:
    """The server's side: the newest receipt, and what it signed under each number."""

    last: AuditReceipt | None = None
    signed: dict[int, set[bytes]] = field(default_factory=dict)
    clock: int = 0

    def ask(self, log: Log) -> AuditHead:
        number = self.last.number + 1 if self.last else 1
        return self.take(AuditRequest(number, (self.last,) if self.last else ()), log)

    def hand_over(self, log: Log) -> AuditHead:
        assert self.last is not None
        return self.take(AuditRequest(self.last.number, (self.last,)), log)

    def take(self, request: AuditRequest, log: Log) -> AuditHead:
        reply = log.answer(decode(request.to_bytes()))  # type: ignore[arg-type]
        self.clock += 1
        self.last = countersigned(
            request, reply, identity=CLINIC.public, last=self.last, at=self.clock, team=TEAM
        )
        self.signed.setdefault(self.last.number, set()).add(self.last.head)
        return reply


def refused(code: str, call, *args, **kwargs) -> None:
    with pytest.raises(PeerFault) as caught:
        call(*args, **kwargs)
    assert caught.value.code == f"peer.{code}"


def test_heads_are_countersigned_one_after_another():
    team, log = Team(), Log()
    for number in (1, 2, 3):
        assert team.ask(log).number == number
        assert team.hand_over(log) == replace(team.hand_over(log))
        assert log.receipts[number] == team.last
    assert not broken_off(team.last)
    assert team.last.previous == log.heads[2]


def test_the_same_number_gets_the_same_head():
    team, log = Team(), Log()
    team.ask(log)
    assert log.answer(AuditRequest(1, ())) == log.answer(AuditRequest(1, ()))
    assert log.drawn == 1


def test_a_server_that_lost_receipts_is_told_so_and_catches_up():
    team, log = Team(), Log()
    kept = team.ask(log) and team.last
    for _ in range(4):
        team.ask(log)
    lost, team.last = team.last, kept
    while (reply := team.ask(log)).last > reply.number:
        pass
    assert reply.number == lost.number == 5
    assert all(len(heads) == 1 for heads in team.signed.values())


def test_a_log_that_was_set_back_says_so_and_goes_on():
    team, log = Team(), Log()
    for _ in range(3):
        team.ask(log)
        team.hand_over(log)
    log.heads = {1: log.heads[1]}
    log.receipts = {1: log.receipts[1]}
    refused("audit-gap", team.hand_over, log)
    reply = team.ask(log)
    assert (reply.number, reply.previous) == (4, NOT_CONTINUED)
    assert broken_off(team.last)
    team.ask(log)
    assert not broken_off(team.last)


def test_a_rewritten_log_gets_no_receipt():
    team, log = Team(), Log()
    for _ in range(3):
        team.ask(log)
    log.heads[3] = b"w" * 32  # history was changed, and with it every later hash
    refused("audit-differs", team.take, AuditRequest(3, ()), log)
    forged = AuditHead(CLINIC.public, 4, b"x" * 32, log.heads[3], 4, UNSIGNED)
    forged = forged.with_signature(CLINIC.sign("audit head", forged.signed))
    refused(
        "audit-differs",
        countersigned,
        AuditRequest(4, (team.last,)),
        forged,
        identity=CLINIC.public,
        last=team.last,
        at=9,
        team=TEAM,
    )


def test_a_receipt_for_another_purpose_or_of_another_is_none():
    team, log = Team(), Log()
    team.ask(log)
    good = team.last
    for bad in (
        replace(good, signature=TEAM.sign("audit head", good.signed)),
        replace(good, signature=STRANGER.sign("audit receipt", good.signed)),
        replace(good, at=good.at + 1),
        replace(good, head=bytes(32)),
    ):
        refused("receipt-forged", log.answer, AuditRequest(2, (bad,)))
    refused("receipt-forged", Log().answer, AuditRequest(2, (good,)), STRANGER)


@given(st.lists(st.sampled_from(("ask", "hand over", "back up", "restore")), max_size=14))
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("whose", ["clinic", "server"])
def test_no_number_is_signed_for_two_heads(whose, moves):
    """Whichever side is restored from a backup, however often: one head under each number."""
    team, log = Team(), Log()
    kept = deepcopy(log if whose == "clinic" else team.last)
    for move in moves:
        if move == "ask":
            team.ask(log)
        elif move == "hand over" and team.last:
            with suppress(PeerFault):  # where the log lacks that head
                team.hand_over(log)
        elif move == "back up":
            kept = deepcopy(log if whose == "clinic" else team.last)
        elif move == "restore" and whose == "clinic":
            log = replace(deepcopy(kept), drawn=log.drawn)
        elif move == "restore":
            team.last = kept
    assert all(len(heads) == 1 for heads in team.signed.values())
