"""A clinic's machine that was restored from a backup, or copied: who notices, and what stops (K7).

Two of three keepers live on. The third's folder is put back, or is there twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper_admin import KeeperAdmin
from cairn_client.reviewers import Reviewers
from cairn_protocol.errors import CairnError, PolicyRefusal
from cairn_protocol.identity import Identity
from cairn_protocol.mark import Mark
from cairn_protocol.messages import Confirmation, KeyPackage, Packages, Refusal, Upload
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.record import Message
from cairn_protocol.server_run import ServerRun
from keeper_bench import STUDY, Bench

Make = Callable[..., Bench]
TEXT = STUDY.replace("[policy]", "[privacy]\nretries = 8\n[policy]")
ASH, ELM = 0, 1


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


class Life:
    """Runs of one round each, as keepers come and go."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.runs = bench, 0
        bench.settle(ASH)

    def open(self) -> None:
        """A new run; nobody has been asked yet."""
        self.runs += 1
        b = self.bench
        b.server, b.opening = ServerRun.open(bytes([self.runs] * 16), b.signed, b.roster)

    def packages(self) -> Packages:
        """A new run, in which every key package has come."""
        self.open()
        assert all(isinstance(r, KeyPackage) for r in self.bench.everyone(self.bench.opening))
        return self.bench.server.packages()

    def ask_round(self) -> list[Message]:
        """What everyone says to the round."""
        requests = self.bench.requests("effect")
        return [self.bench.ask(requests, index) for index in range(3)]

    def answer(self) -> None:
        """One run from its opening to its end, charged at everyone."""
        b = self.bench
        b.everyone(self.packages())
        assert all(isinstance(reply, Upload) for reply in b.everyone(b.requests("effect")))
        b.server.total()
        b.everyone(b.server.close("done"))

    def backup(self, where: Path) -> ClinicFolder:
        """A copy of the first clinic's whole folder, as it lies on the disk."""
        keeper = self.bench.keepers[ASH]
        keeper.close()
        shutil.copytree(keeper.clinic.path, where)
        self.bench.boot(ASH)
        return ClinicFolder.open(where)


@pytest.fixture
def life(bench: Make) -> Life:
    return Life(bench(text=TEXT))


def test_a_clinic_that_only_restarts_goes_on(life: Life) -> None:
    for _ in range(3):
        life.bench.boot(ASH)
        life.answer()


def test_the_others_refuse_a_machine_that_was_set_back(life: Life, tmp_path: Path) -> None:
    life.bench.boot(ASH)
    old = life.backup(tmp_path / "backup")
    life.answer()
    life.bench.boot(ASH)
    life.answer()
    spent = life.bench.keepers[ASH].ledger.spent()
    restored = life.bench.boot(ASH, old)
    assert life.bench.keepers[ASH].ledger.spent() < spent, "it has forgotten a charge"
    packages = life.packages()
    for other in (1, 2):
        reply = life.bench.ask(packages, other)
        assert refused(reply) == "peer.peer-set-back"
        assert "ash shows an older state" in reply.what  # type: ignore[attr-defined]
    assert restored.epoch < 4


def test_the_machine_itself_stops_once_it_is_shown_what_it_forgot(
    life: Life, tmp_path: Path
) -> None:
    life.bench.boot(ASH)
    old = life.backup(tmp_path / "backup")
    life.answer()
    for _ in range(3):  # restarts until its count is past what the others have seen
        life.bench.boot(ASH, old)
    before = life.bench.keepers[ASH].ledger.spent()
    replies = life.bench.everyone(life.packages())
    assert all(isinstance(reply, Confirmation) for reply in replies), "nothing shows yet"
    replies = life.ask_round()
    assert refused(replies[ASH]) == "policy.set-back"
    assert life.bench.keepers[ASH].ledger.spent() == before
    for again in range(3):  # and it stays so
        store = life.bench.boot(ASH, old)
        life.open()
        assert refused(life.bench.ask(life.bench.opening)) == "policy.set-back", again
        keeper = life.bench.keepers[ASH]
        status = KeeperAdmin(keeper, store, Reviewers(store, lambda: 1)).status(pb.StatusRequest())
        assert "older than what other clinics have seen" in status.stopped
    with pytest.raises(CairnError) as caught:
        keeper.ledger.reserve(bytes(32), "effect", 0, 0, 0.01)
    assert "ledger" in caught.value.code, "nor does the ledger take a charge"


def test_of_two_machines_with_one_identity_the_others_take_one(life: Life, tmp_path: Path) -> None:
    life.bench.boot(ASH)
    life.answer()
    copy = life.backup(tmp_path / "copy")
    own = life.bench.keepers[ASH].clinic
    original = life.bench.keepers[ASH].state
    life.answer()
    cloned = life.bench.boot(ASH, copy)
    assert cloned.epoch == original.epoch
    assert cloned.boot != original.boot
    assert refused(life.bench.ask(life.packages(), ELM)) == "peer.peer-set-back"
    # The copy counts on; now the others take it, and it learns of the other's charge.
    life.bench.boot(ASH, copy)
    life.bench.everyone(life.packages())
    assert refused(life.ask_round()[ASH]) == "policy.set-back"
    # The original has forgotten nothing: with the copy off, it only has to count on as well.
    while life.bench.boot(ASH, own).epoch <= cloned.epoch + 1:
        assert refused(life.bench.ask(life.packages(), ELM)) == "peer.peer-set-back"
    life.answer()


def test_a_forged_witness_stops_nobody(life: Life) -> None:
    life.answer()
    b = life.bench
    own = b.keepers[ASH].identity.public
    for liar in (Identity.generate(), b.keepers[ELM].identity):
        mark = replace(Mark.sign(liar, 999, bytes(16), b"x" * 32), identity=own)
        b.keepers[ASH].mark.shown([mark, Mark.sign(liar, 999, bytes(16), b"x" * 32)])
        b.keepers[ASH].mark.check()
    life.answer()


def test_a_mark_from_its_own_past_stops_nobody(life: Life) -> None:
    life.bench.boot(ASH)
    life.answer()
    past = life.bench.keepers[ASH].mark.sign()
    life.answer()
    life.bench.boot(ASH)
    life.bench.keepers[ASH].mark.shown([past])
    life.bench.keepers[ASH].mark.check()
    life.answer()


def test_an_unknown_head_under_a_true_signature_stops_it(life: Life) -> None:
    keeper = life.bench.keepers[ASH]
    mark = keeper.mark.sign()
    unknown = Mark.sign(keeper.identity, mark.epoch, mark.boot, b"x" * 32)
    keeper.mark.shown([unknown])
    with pytest.raises(PolicyRefusal) as caught:
        keeper.mark.check()
    assert caught.value.code == "policy.set-back"
    assert "stop the other machine" in caught.value.hint


def test_the_others_marks_are_kept_before_this_clinic_confirms(life: Life) -> None:
    b = life.bench
    seen: list[set[bytes]] = []

    def passing(step: str) -> None:
        if step == "confirmed":
            seen.append(set(store.marks([k.identity.public for k in b.keepers])))

    store = b.boot(ASH, passing=passing)
    life.answer()
    assert seen == [{k.identity.public for k in b.keepers[1:]}]
    again = b.boot(ASH)
    assert set(again.marks([k.identity.public for k in b.keepers])) == seen[0]


def test_the_marks_of_the_last_round_are_kept_with_its_end(life: Life) -> None:
    """An upload's mark holds the charge for it; the packages' marks were made before."""
    b = life.bench
    store = b.boot(ASH)
    elm = b.keepers[ELM]
    elm.ledger.head()
    b.everyone(life.packages())
    b.everyone(b.requests("effect"))
    b.server.total()
    before = store.marks([elm.identity.public])[elm.identity.public]
    b.ask(b.server.close("done"))
    after = store.marks([elm.identity.public])[elm.identity.public]
    assert after.ledger_head != before.ledger_head
    assert elm.ledger.contains(after.ledger_head)
