"""No sequence of charges, studies, blocks, crashes, restores and clocks exceeds a cap.

The oracle is slow and exact: it keeps every charge that was ever made, on every copy of the ledger
that was ever in use, and adds them up by quarter with whole numbers.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cairn_privacy import ledger as ledger_module
from cairn_privacy import witnessed
from cairn_privacy.accounting import RHO_UNIT, rho_for, units, units_within
from cairn_privacy.blocks import EVERYONE, UNDATED, Blocks, quarter
from cairn_privacy.chain import verify_export
from cairn_privacy.ledger import Ledger
from cairn_privacy.links import StudyAccount
from cairn_protocol.errors import BudgetRefusal, PolicyRefusal

EPSILON, DELTA = 2.0, 1e-6
CAP = units_within(rho_for(EPSILON, DELTA))
CLOCKS = (ledger_module, witnessed)
TODAY = date(2026, 11, 22)
WINDOWS = (
    EVERYONE,
    Blocks.of_window(date(2024, 1, 1), date(2024, 12, 31)),
    Blocks.of_window(date(2024, 10, 1), date(2025, 3, 31)),
    Blocks.of_window(date(2026, 1, 1), None),
    Blocks.of_window(None, date(2025, 6, 30)),
    Blocks.of_window(date(2027, 1, 1), date(2027, 12, 31)),
)
WATCHED = (UNDATED, *range(quarter(date(2023, 10, 1)), quarter(date(2028, 4, 1))))
SHARES = (0.03, 0.1, 0.34, 0.9)  # of the clinic's cap
STUDIES = range(9)
QUESTIONS = st.tuples(st.sampled_from(STUDIES), st.sampled_from(SHARES), st.integers(0, 1))


def account(which: int) -> StudyAccount:
    """A study whose window and cap follow from its number."""
    study = bytes([which + 1]) * 32
    cap = int(CAP * (0.25, 0.6, 5.0)[which % 3])
    return StudyAccount(study.hex(), f"study-{which}", "", "", WINDOWS[which % 6], cap)


@dataclass
class Truth:
    """Everything that was ever charged on any copy: study and units."""

    charges: list[tuple[int, int]] = field(default_factory=list)

    def block(self, block: int) -> int:
        return sum(u for which, u in self.charges if block in account(which).blocks)

    def study(self, which: int) -> int:
        return sum(u for of, u in self.charges if of == which)


class Clinic(RuleBasedStateMachine):
    """A clinic, its server that asks what it likes, and a machine that fails at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-machine"))
        self.copies = 0
        self.truth = Truth()
        self.path = self.folder / "own" / "ledger.db"
        self.path.parent.mkdir()
        self.ledger = Ledger.create(self.path, clinic="x", cap_epsilon=EPSILON, delta=DELTA)
        self.backups: list[Path] = []
        self.signed: list[tuple[bytes, int]] = [(self.ledger.head(), 0)]  # marks that peers hold
        self.epoch = 1
        self.declared_by_people: set[int] = set()  # studies that were ever approved
        self.lowest = CAP
        self.attempts: Counter[tuple[int, int]] = Counter()

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder)

    def stopped(self) -> bool:
        return bool(self.ledger.behind)

    def peers_show(self) -> None:
        """At the start of every run the peers show the newest mark that they kept."""
        self.ledger.witness(*self.signed[-1])

    def sign(self) -> None:
        if not self.stopped():
            self.signed.append((self.ledger.head(), self.epoch))

    @rule(asked=st.lists(QUESTIONS, min_size=1, max_size=5))
    def run(self, asked: list[tuple[int, float, int]]) -> None:
        """The peers show what they kept; then some questions are asked, of any studies."""
        self.peers_show()
        for which, share, round_ in asked:
            self.ask(which, share, round_)

    @rule(asked=st.lists(QUESTIONS, min_size=3, max_size=8))
    def run_longer(self, asked: list[tuple[int, float, int]]) -> None:
        self.run(asked)

    def ask(self, which: int, share: float, round_: int) -> None:
        """One question of one study; whatever is refused is refused for a reason."""
        of, rho = account(which), share * CAP * RHO_UNIT
        self.declared_by_people.add(which)
        key = (which, round_)
        attempt = self.attempts[key]
        before = self.ledger.spent()
        study = bytes.fromhex(of.study)
        try:
            number = self.ledger.reserve(study, "q", round_, attempt, rho, account=of)
        except BudgetRefusal:
            over_block = any(
                self.seen_block(block) + units(rho) > self.lowest
                for block in (*WATCHED, quarter(date(2090, 1, 1)))
                if block in of.blocks
            )
            assert over_block or self.ledger_study(which) + units(rho) > of.cap_units, (
                "refused too early"
            )
            assert self.ledger.spent() == before
            return
        except PolicyRefusal:
            assert self.stopped(), "refused without a reason"
            return
        assert not self.stopped()
        self.attempts[key] += 1
        self.truth.charges.append((which, units(rho)))
        if attempt % 3 == 0:
            self.ledger.commit(number, bytes(32))
        elif attempt % 3 == 1:
            self.ledger.void(number, "abandoned")
        self.sign()

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        """The same attempt once more is never charged, and so never answered.

        After a gap for which everything was charged, a study of patients still to come begins anew.
        """
        self.peers_show()
        which, round_ = data.draw(st.sampled_from(sorted(self.attempts)))
        spent, of = self.ledger.spent(), account(which)
        if of.study not in self.known() and not block_all_past(which):
            return
        attempt = self.attempts[which, round_] - 1
        with pytest.raises((PolicyRefusal, BudgetRefusal)):
            self.ledger.reserve(
                bytes.fromhex(of.study), "q", round_, attempt, RHO_UNIT * 9, account=of
            )
        assert self.ledger.spent() == spent

    def known(self) -> set[str]:
        return set(verify_export(self.ledger.export()).studies)

    @rule(share=st.sampled_from((None, 1.0, 0.7, 0.4)))
    def restart(self, share: float | None) -> None:
        """The keeper starts again, perhaps with a lowered cap."""
        self.ledger.close()
        cap = None if share is None else share * CAP * RHO_UNIT
        self.lowest = CAP if cap is None else units_within(cap)
        self.epoch += 1
        self.ledger = Ledger.open(self.path, cap_rho=cap)

    @rule()
    def back_up(self) -> None:
        self.backups.append(self.copy())

    @rule()
    def power_cut(self) -> None:
        """What lies on disk while the ledger is open is all that is left."""
        there = self.copy()
        self.use(there)

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        """Somebody restores an old copy, second head and all."""
        self.use(self.copied(data.draw(st.sampled_from(self.backups))))

    @precondition(lambda self: self.stopped())
    @rule(everything=st.sampled_from((False, False, False, True)))
    def restore(self, everything: bool) -> None:
        """Two people answer; unless all is charged they name every study that was approved."""
        if not everything:
            for which in sorted(self.declared_by_people):
                self.ledger.declare(account(which))
        self.peers_show()
        self.ledger.propose_restore("Ada", everything=everything, today=TODAY)
        seen = max(epoch for _, epoch in self.signed)
        self.ledger.adopt_restore(
            "Grace", epoch=max(seen, self.epoch, self.ledger.latest_epoch) + 5
        )
        assert not self.stopped()
        self.epoch = self.ledger.latest_epoch + 1
        self.sign()

    @rule()
    def restore_unasked(self) -> None:
        """People may do so although nobody has shown them anything."""
        if len(self.truth.charges) % 7 == 6:
            self.restore(everything=False)

    @rule(year=st.integers(1971, 2100))
    def clock(self, year: int) -> None:
        for module in CLOCKS:
            module.now = lambda: f"{year}-01-01T00:00:00+00:00"  # type: ignore[attr-defined]

    @invariant()
    def no_block_is_over_the_cap(self) -> None:
        for block in WATCHED:
            assert self.truth.block(block) <= CAP, "a patient's cap was exceeded"

    @invariant()
    def no_study_is_over_its_cap(self) -> None:
        for which in STUDIES:
            cap = account(which).cap_units
            assert self.ledger_study(which) <= cap, "a study's cap was exceeded here"
            if block_all_past(which):
                assert self.truth.study(which) <= cap, "a study's cap was exceeded in all"

    @invariant()
    def no_attempt_was_charged_twice_on_one_line(self) -> None:
        names = [entry.name for entry in self.ledger.entries()]
        assert len(names) == len(set(names))

    @invariant()
    def an_export_says_the_same(self) -> None:
        seen = verify_export(self.ledger.export())
        assert seen.head.digest == self.ledger.head()
        assert seen.spent * RHO_UNIT == self.ledger.spent()

    def ledger_study(self, which: int) -> int:
        study = bytes.fromhex(account(which).study)
        return round(self.ledger.spent(study) / RHO_UNIT)

    def seen_block(self, block: int) -> int:
        return round(self.ledger.spent(blocks=Blocks(block, block + 1)) / RHO_UNIT)

    def copy(self) -> Path:
        return self.copied(self.path)

    def copied(self, path: Path) -> Path:
        self.copies += 1
        into = self.folder / str(self.copies)
        into.mkdir()
        for file in path.parent.glob(path.name + "*"):
            shutil.copy(file, into / file.name)
        return into / path.name

    def use(self, path: Path) -> None:
        self.ledger.close()
        self.path = path
        self.lowest = CAP
        self.epoch += 1
        self.ledger = Ledger.open(path)


def block_all_past(which: int) -> bool:
    """Whether nobody of the study's blocks was still to come when people answered for a gap."""
    return account(which).blocks.end <= quarter(TODAY) + 1


@pytest.fixture(autouse=True)
def _real_clock_again() -> Iterator[None]:
    real = witnessed.now
    yield
    for module in CLOCKS:
        module.now = real  # type: ignore[attr-defined]


TestFewSteps = Clinic.TestCase
TestFewSteps.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


class ManySteps(Clinic):
    """The same, longer."""


TestManySteps = pytest.mark.soak(ManySteps.TestCase)
TestManySteps.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
