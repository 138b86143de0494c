"""Rule L8: a ledger that others have seen newer stops, until two people answer for the gap."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cairn_privacy.accounting import rho_for, units_within
from cairn_privacy.blocks import EVERYONE, Blocks, quarter
from cairn_privacy.chain import verify_export
from cairn_privacy.ledger import Ledger
from cairn_privacy.links import StudyAccount
from cairn_protocol.errors import BudgetRefusal, CairnError, InputError, PolicyRefusal

CAP = rho_for(3.0, 1e-6)
ONE = rho_for(1.0, 1e-6)
TODAY = date(2026, 11, 22)
EPOCH = 12  # beyond every boot of which these tests tell
OLD, NEW = (Blocks.of_window(date(y, 1, 1), date(y, 12, 31)) for y in (2024, 2025))


def account(name: str, blocks: Blocks, cap: float) -> StudyAccount:
    study = name.encode().ljust(32, b".").hex()
    return StudyAccount(study, name, name, "", blocks, units_within(cap))


A = account("a", OLD, 3 * ONE)
B = account("b", NEW, 2 * ONE)


def spend(ledger: Ledger, of: StudyAccount, rho: float, attempt: int = 0) -> int:
    study = bytes.fromhex(of.study)
    return ledger.reserve(study, "q", 0, attempt, rho, account=of)


def copied(path: Path, into: Path) -> Path:
    """Database, WAL and second head, as a backup or a machine's image has them."""
    into.mkdir()
    for file in path.parent.glob(path.name + "*"):
        shutil.copy(file, into / file.name)
    return into / path.name


@pytest.fixture
def rolled_back(tmp_path: Path) -> Callable[..., tuple[Ledger, bytes]]:
    """A ledger from a backup, and the head that this clinic signed after it (boot 7)."""

    def make(after: Callable[[Ledger], object]) -> tuple[Ledger, bytes]:
        (tmp_path / "own").mkdir()
        path = tmp_path / "own" / "ledger.db"
        with Ledger.create(path, clinic="Brook", cap_epsilon=3.0, delta=1e-6) as ledger:
            spend(ledger, A, ONE)
            backup = copied(path, tmp_path / "backup")
            after(ledger)
            head = ledger.head()
        return Ledger.open(backup), head

    return make


Roll = Callable[..., tuple[Ledger, bytes]]


def test_a_head_that_it_lacks_stops_the_ledger_over_restarts(
    rolled_back: Roll, tmp_path: Path
) -> None:
    ledger, head = rolled_back(lambda own: spend(own, A, ONE, 1))
    assert ledger.witness(ledger.head(), 7)
    assert ledger.witness(bytes(32), 0), "before the first link"
    assert not ledger.contains(head)
    spend(ledger, A, ONE / 100, 5)  # nobody has shown it anything yet
    assert not ledger.witness(head, 7)
    length = len(ledger.export().splitlines())
    assert not ledger.witness(head, 7), "told again, it writes nothing again"
    assert len(ledger.export().splitlines()) == length
    for _ in range(2):
        with pytest.raises(PolicyRefusal, match="ledger-behind"):
            spend(ledger, B, ONE)
        ledger.close()
        ledger = Ledger.open(tmp_path / "backup" / "ledger.db")
    assert [behind.epoch for behind in ledger.behind] == [7]
    ledger.close()


def test_a_clone_is_shown_what_the_other_one_signed(tmp_path: Path) -> None:
    """Two machines with one ledger: each of them lacks what the other one charged."""
    (tmp_path / "one").mkdir()
    path = tmp_path / "one" / "ledger.db"
    with Ledger.create(path, clinic="Brook", cap_epsilon=3.0, delta=1e-6) as one:
        spend(one, A, ONE)
        twin = copied(path, tmp_path / "two")
        with Ledger.open(twin) as two:
            assert one.head() == two.head()
            spend(one, A, ONE, 1)
            spend(two, A, ONE, 1)
            spend(two, B, ONE)
            assert not one.witness(two.head(), 3)
            with pytest.raises(PolicyRefusal, match="ledger-behind"):
                spend(one, B, ONE, 1)


def test_two_people_restore_it_and_the_gap_is_charged_at_its_worst(
    rolled_back: Roll, tmp_path: Path
) -> None:
    ledger, head = rolled_back(lambda own: (spend(own, A, ONE, 1), spend(own, B, ONE)))
    assert not ledger.witness(head, 7)
    ledger.declare(B)  # the two say that B was open meanwhile
    proposed = ledger.propose_restore(" Ada  Lovelace ", everything=False, today=TODAY)
    assert (proposed.by, proposed.everything) == ("Ada Lovelace", False)
    with pytest.raises(PolicyRefusal, match="ledger-behind"):
        spend(ledger, B, ONE, 1)
    adopted = ledger.adopt_restore("Grace Hopper", epoch=EPOCH)
    assert dict(adopted.charged) == {
        A.study: A.cap_units - units_within(ONE),
        B.study: B.cap_units,
    }
    assert ledger.spent(blocks=OLD) == pytest.approx(3 * ONE)
    assert ledger.spent(blocks=NEW) == pytest.approx(2 * ONE)
    assert ledger.witness(head, 7), "answered for"
    assert ledger.witness(b"h" * 32, 7), "and so is every other head of that time"
    assert ledger.contains(head)
    assert ledger.latest_epoch == EPOCH
    for of in (A, B):
        with pytest.raises(BudgetRefusal, match="this study's"):
            spend(ledger, of, ONE / 100, 9)
    spend(ledger, account("c", NEW, CAP), ONE)
    seen = verify_export(ledger.export())
    told = seen.adoptions[0]
    assert (told.restore.by, told.by) == ("Ada Lovelace", "Grace Hopper")
    ledger.close()
    with Ledger.open(tmp_path / "backup" / "ledger.db") as again:
        assert again.spent(blocks=NEW) == pytest.approx(3 * ONE)
        assert not again.witness(b"n" * 32, 13), "what is newer than they answered for stops it"


def test_where_nobody_can_name_the_studies_all_that_was_left_is_charged(rolled_back: Roll) -> None:
    ledger, head = rolled_back(lambda own: spend(own, B, ONE))
    assert not ledger.witness(head, 7)
    ledger.propose_restore("Ada", everything=True, today=TODAY)
    ledger.adopt_restore("Grace", epoch=EPOCH)
    assert ledger.left(blocks=Blocks.up_to(quarter(TODAY))) == 0.0
    with pytest.raises(BudgetRefusal, match="clinic's privacy cap"):
        spend(ledger, account("c", EVERYONE, CAP), ONE / 100)
    later = Blocks.of_window(date(2027, 1, 1), None)
    assert ledger.left(blocks=later) == pytest.approx(CAP), "those still to come keep theirs"
    spend(ledger, account("d", later, CAP), ONE)
    ledger.close()


def test_the_worst_case_goes_no_further_than_the_cap(rolled_back: Roll) -> None:
    """The lost ledger could not exceed the cap either; so the gap fills blocks, and no more."""
    greedy = account("greedy", OLD, 40 * ONE)
    ledger, head = rolled_back(lambda own: spend(own, greedy, ONE))
    assert not ledger.witness(head, 7)
    ledger.declare(greedy)
    ledger.propose_restore("Ada", everything=False, today=TODAY)
    ledger.adopt_restore("Grace", epoch=EPOCH)
    assert ledger.spent(blocks=OLD) == pytest.approx(CAP)
    assert ledger.left(blocks=OLD) == 0.0
    assert verify_export(ledger.export()).head.digest == ledger.head()
    ledger.close()


@pytest.mark.parametrize("second", ["Ada", "ada ", " ADA"])
def test_one_person_cannot_do_both(rolled_back: Roll, second: str) -> None:
    ledger, head = rolled_back(lambda own: spend(own, A, ONE, 1))
    assert not ledger.witness(head, 7)
    with pytest.raises(PolicyRefusal, match="restore-not-proposed"):
        ledger.adopt_restore("Grace", epoch=EPOCH)
    ledger.propose_restore("Ada", everything=False, today=TODAY)
    with pytest.raises(PolicyRefusal, match="restore-same-person"):
        ledger.adopt_restore(second, epoch=EPOCH)
    assert ledger.behind
    ledger.close()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[2J", "x" * 201])
def test_somebody_is_named(rolled_back: Roll, name: str) -> None:
    ledger, _ = rolled_back(lambda own: spend(own, A, ONE, 1))
    if name == "a\nb":
        assert ledger.propose_restore(name, everything=True, today=TODAY).by == "a b"
    else:
        with pytest.raises(InputError, match="restore-person"):
            ledger.propose_restore(name, everything=True, today=TODAY)
    ledger.close()


def test_what_turns_up_after_the_first_word_needs_a_new_one(rolled_back: Roll) -> None:
    ledger, head = rolled_back(lambda own: spend(own, A, ONE, 1))
    assert not ledger.witness(head, 7)
    ledger.propose_restore("Ada", everything=False, today=TODAY)
    assert not ledger.witness(b"w" * 32, 9)
    with pytest.raises(PolicyRefusal, match="restore-not-proposed"):
        ledger.adopt_restore("Grace", epoch=EPOCH)
    ledger.propose_restore("Ada", everything=False, today=TODAY)
    ledger.adopt_restore("Grace", epoch=EPOCH)
    assert not ledger.behind
    assert ledger.latest_epoch == EPOCH
    ledger.close()


def test_charges_of_a_study_without_an_account_need_everything(rolled_back: Roll) -> None:
    ledger, head = rolled_back(lambda own: spend(own, A, ONE, 1))
    ledger.reserve(b"u" * 32, "q", 0, 0, ONE / 10)
    assert not ledger.witness(head, 7)
    with pytest.raises(InputError, match="restore-unaccounted"):
        ledger.propose_restore("Ada", everything=False, today=TODAY)
    ledger.propose_restore("Ada", everything=True, today=TODAY)
    ledger.adopt_restore("Grace", epoch=EPOCH)
    ledger.close()


def test_a_chain_in_which_the_stop_was_passed_over_is_not_read(rolled_back: Roll) -> None:
    ledger, head = rolled_back(lambda own: spend(own, A, ONE, 1))
    assert not ledger.witness(head, 7)
    seen = verify_export(ledger.export())
    at = "2026-01-01T00:00:00+00:00"
    charge = {
        "kind": "reserve",
        "at": at,
        "study": A.study,
        "run": "",
        "question": "q",
        "round": 5,
        "attempt": 0,
        "units": 1,
    }
    restore = {"kind": "restore", "at": at, "by": "Ada", "everything": 0, "last": "2026-Q4"}
    adopt = {"kind": "adopt", "at": at, "of": 99, "by": "Grace", "epoch": EPOCH}
    behind = {"kind": "behind", "at": at, "head": head.hex(), "epoch": 7}
    bad = [
        charge,
        adopt,
        behind,  # again
        {**behind, "head": ledger.head().hex()},  # which it has
        {**behind, "head": "ab", "epoch": 9},
        {**restore, "by": ""},
        {**restore, "everything": 2},
        {**restore, "last": ""},
    ]
    for body in bad:
        with pytest.raises(CairnError, match="ledger-damaged"):
            seen.check(*seen.next(body))
    seen.adopt(seen.check(*seen.next(restore)))
    right = {**adopt, "of": seen.head.number}
    for body in (charge, adopt, {**right, "by": "ada"}, {**right, "epoch": 6}):
        with pytest.raises(CairnError, match="ledger-damaged"):
            seen.check(*seen.next(body))
    seen.adopt(seen.check(*seen.next(right)))
    with pytest.raises(CairnError, match="ledger-damaged"):
        seen.check(*seen.next(charge))  # its study's cap went with the gap
    ledger.close()
