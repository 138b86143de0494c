"""A clinic restored from a backup goes on once two people have answered for what it lacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from cairn_client import passwords, restore
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_client.own_mark import OwnMark
from cairn_client.passwords import Cost
from cairn_client.reviewer_proof import proved
from cairn_client.reviewer_reset import reset
from cairn_client.store_reviewers import Account
from cairn_protocol.errors import CairnError, InputError, PeerFault, PolicyRefusal
from cairn_protocol.messages import Confirmation, KeyPackage, Refusal, Upload
from cairn_protocol.record import Message
from cairn_protocol.server_run import ServerRun
from keeper_bench import STUDY, Bench

Make = Callable[..., Bench]
TEXT = STUDY.replace("[policy]", "[privacy]\nretries = 8\n[policy]").replace(
    "[cohort]", "[cohort]\nentry_until = 2025-12-31"
)
ASH = 0
TODAY = date(2026, 11, 22)


class SetBack:
    """A bench whose first clinic was put back to a backup; its keeper does not run."""

    def __init__(self, bench: Bench, place: Path) -> None:
        self.bench, self.runs = bench, 0
        bench.settle(ASH)
        bench.boot(ASH)
        bench.keepers[ASH].close()
        self.old = ClinicFolder.open(
            Path(shutil.copytree(bench.keepers[ASH].clinic.path, place / "backup"))
        )
        for _ in range(4):
            lost = bench.boot(ASH)  # that machine came further by boots too
        replies = self.round()
        for index, reply in enumerate(replies):
            assert isinstance(reply, Upload)
            bench.server.receive(index, reply)
        bench.server.total()
        bench.everyone(bench.server.close("done"))  # now the others know of the charge
        self.lost = bench.keepers[ASH].ledger.spent()
        self.lost_epoch = lost.epoch
        bench.keepers[ASH].close()

    def be_shown(self) -> None:
        """It restarts until its count is past what the others have seen; then they tell it."""
        while self.bench.boot(ASH, self.old).epoch <= self.lost_epoch:
            pass
        assert refused(self.round()[ASH]) == "policy.set-back"
        self.bench.keepers[ASH].close()

    def round(self) -> list[Message]:
        """What everyone says to the first round of a new run."""
        self.runs += 1
        b = self.bench
        b.server, b.opening = ServerRun.open(bytes([self.runs] * 16), b.signed, b.roster)
        assert all(isinstance(r, KeyPackage) for r in b.everyone(b.opening))
        assert all(isinstance(r, Confirmation) for r in b.everyone(b.server.packages()))
        requests = b.requests("effect")
        return [b.ask(requests, index) for index in range(3)]


@pytest.fixture
def set_back(bench: Make, tmp_path: Path) -> SetBack:
    return SetBack(bench(text=TEXT), tmp_path)


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


def test_two_peoples_word_charges_the_gap_and_the_others_take_it_again(set_back: SetBack) -> None:
    clinic = set_back.old
    set_back.be_shown()
    gap = restore.propose(clinic, "Ada", files=(), everything=False, today=TODAY)
    assert [cost.study for cost in gap.costs] == ["tiny"], "the study that was offered is known"
    assert gap.costs[0].who == "entered by the end of 2025-Q4"
    with pytest.raises(PolicyRefusal, match="restore-same-person"):
        restore.agree(clinic, "ADA")
    set_back.bench.boot(ASH, clinic)
    with pytest.raises(CairnError, match="set-back"):
        set_back.bench.keepers[ASH].mark.check()
    set_back.bench.keepers[ASH].close()
    assert restore.agree(clinic, "Grace").by == ("Ada", "Grace")
    check_goes_on(set_back)


def test_people_who_restore_a_backup_need_not_wait_to_be_told(set_back: SetBack) -> None:
    """Restored at once: the others take it at the first attempt, old marks and all."""
    restore.propose(set_back.old, "Ada", files=(), everything=False, today=TODAY)
    restore.agree(set_back.old, "Grace")
    check_goes_on(set_back)


def check_goes_on(set_back: SetBack) -> None:
    store = set_back.bench.boot(ASH, set_back.old)
    keeper = set_back.bench.keepers[ASH]
    keeper.mark.check()
    assert keeper.ledger.spent() > set_back.lost, "at least what was lost is charged"
    assert store.epoch > set_back.lost_epoch
    replies = set_back.round()  # keys and confirmations pass at everyone
    assert refused(replies[ASH]) == "budget.cap-reached", "this study may have had all its answers"
    assert [type(reply) for reply in replies[1:]] == [Upload, Upload]
    keeper.mark.check()
    other = bytes(31) + b"o"
    keeper.ledger.commit(keeper.ledger.reserve(other, "q", 0, 0, 0.001), bytes(32))


def test_without_the_skip_in_its_count_the_others_would_go_on_refusing(set_back: SetBack) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(KeeperStore, "skip_to", lambda self, epoch: None)
        restore.propose(set_back.old, "Ada", files=(), everything=False, today=TODAY)
        restore.agree(set_back.old, "Grace")
    set_back.bench.boot(ASH, set_back.old)
    with pytest.raises(PeerFault, match="shows an older state"):
        set_back.round()


def test_nobody_restores_while_the_keeper_runs(set_back: SetBack) -> None:
    set_back.bench.boot(ASH, set_back.old)
    with pytest.raises(InputError, match=r"keeper-running|ledger-locked"):
        restore.propose(set_back.old, "Ada", files=(), everything=True, today=TODAY)


def test_a_backup_from_before_the_first_charge_gets_a_ledger(bench: Make, tmp_path: Path) -> None:
    """The restored folder has no ledger at all, but others know its head."""
    b = bench(text=TEXT)
    b.settle(ASH)
    b.keepers[ASH].close()
    clinic = b.keepers[ASH].clinic
    for file in clinic.state.glob("ledger*"):
        file.unlink()
    (clinic.state / "charges-are-kept").unlink(missing_ok=True)
    with KeeperStoreOf(clinic) as store:
        mark = OwnMark(clinic.identity(), store, lambda: None).sign()
        lost = type(mark).sign(clinic.identity(), 9, mark.boot, b"L" * 32)
        store.keep_marks([lost])
    restore.propose(clinic, "Ada", files=(), everything=False, today=TODAY)
    restore.agree(clinic, "Grace")
    with KeeperStoreOf(clinic) as store:
        keeper = Keeper(clinic, store)
        keeper.mark.check()
        assert keeper.ledger.spent() > 0
        keeper.close()


class KeeperStoreOf:
    """A store that is closed at the end."""

    def __init__(self, clinic: ClinicFolder) -> None:
        self.store = KeeperStore.of(clinic)

    def __enter__(self) -> KeeperStore:
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()


@pytest.fixture
def accounts(set_back: SetBack, monkeypatch: pytest.MonkeyPatch) -> SetBack:
    """The same, of a clinic whose reviewers are Anna and Bob."""
    monkeypatch.setattr(passwords, "COST", Cost(memory_kib=64, passes=1, lanes=1))
    with closing(KeeperStore.of(set_back.old)) as store:
        for name, password in PASSWORDS.items():
            store.add_account(Account(name, passwords.hash_of(password), 1, ""))
    return set_back


PASSWORDS = {"anna": "annual turnip parade", "bob": "brown lanterns hum"}


def test_where_a_clinic_has_accounts_two_of_them_answer_for_the_gap(accounts: SetBack) -> None:
    clinic = accounts.old

    def propose(by: str, password: str) -> restore.Gap:
        return restore.propose(
            clinic, by, files=(), everything=False, today=TODAY, password=lambda: password
        )

    for by, password in (("Ada", PASSWORDS["anna"]), ("anna", PASSWORDS["bob"]), ("anna", "")):
        with pytest.raises(PolicyRefusal, match="sign-in-refused"):
            propose(by, password)
    with pytest.raises(PolicyRefusal, match="sign-in-refused"):
        restore.propose(clinic, "anna", files=(), everything=False, today=TODAY)
    assert propose("Anna", PASSWORDS["anna"]).by == ("anna",)
    with pytest.raises(PolicyRefusal, match="restore-same-person"):
        restore.agree(clinic, "ANNA", password=lambda: PASSWORDS["anna"])
    with pytest.raises(PolicyRefusal, match="sign-in-refused"):
        restore.agree(clinic, "bob", password=lambda: PASSWORDS["anna"])
    gap = restore.agree(clinic, "bob", password=lambda: PASSWORDS["bob"])
    assert gap.by == ("anna", "bob")


def test_whoever_owns_the_files_gives_a_new_password_and_nobody_while_the_keeper_runs(
    accounts: SetBack,
) -> None:
    clinic = accounts.old
    with closing(KeeperStore.of(clinic)), pytest.raises(InputError, match="keeper-running"):
        reset(clinic, "anna", lambda _: "quiet green afternoon")
    with pytest.raises(PolicyRefusal, match="reviewer-unknown"):
        reset(clinic, "carla", lambda _: "quiet green afternoon")
    with pytest.raises(InputError, match="password-weak"):
        reset(clinic, "anna", lambda _: "short")
    reset(clinic, "Anna", lambda _: "quiet green afternoon")
    with closing(KeeperStore.of(clinic)) as store:
        assert proved(store, "anna", "quiet green afternoon", 1).name == "anna"
        with pytest.raises(PolicyRefusal, match="sign-in-refused"):
            proved(store, "anna", PASSWORDS["anna"], 1)
