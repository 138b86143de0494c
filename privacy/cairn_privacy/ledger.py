"""`Ledger`: what a clinic has spent, durably, in an append-only chain of hashes.

    L1  A charge is on disk before `reserve` returns, so before any record is read for it.
    L2  No sequence of calls carries what a block of patients was charged over the clinic's cap,
        nor what a study was charged over the study's. The clinic's cap can be lowered on opening,
        never raised; a study's stands in the chain, from its first charge on.
    L3  Charges are never taken back. `void` closes a reservation from which nothing was sent; its
        ρ stays spent, because no ledger can prove that nothing was read.
    L4  One attempt is reserved once: (study, run, question, round, attempt) never comes twice.
        After a crash the keeper sits the attempt out and asks for the next, a new charge.
    L5  A ledger that fails any check stops the clinic. It is never replaced by a fresh one.
    L6  One process at a time: the database is locked for as long as it is open.
    L7  Patients fall into blocks by quarter of entry. A charge goes, whole, to every block that its
        study admits, which is read off the signed study's window alone: never off the records,
        never off a clock. A study without a window, and every charge from before there were
        blocks, goes to all blocks, those of patients to come included (`blocks.py`).
    L8  A head that this clinic once signed and that is not in this chain stops it for good: it was
        rolled back, or copied. It goes on when one person has said what may be missing and another
        has agreed. Then every study that could have been answered meanwhile has spent its whole
        cap, or, where nobody can name them, every patient of that time has.

The file is SQLite (WAL, synchronous=FULL) with one table of canonical JSON bodies and hashes,
hashᵢ = SHA-256(tag ‖ hashᵢ₋₁ ‖ bodyᵢ); all else is derived on opening. Beside it `<name>.head`
repeats the head after every charge, so that a lost tail (a damaged WAL) shows. Rolling both files
back together does not show here: that is what peers' witness of `head()` is for (L8).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho, rho_for, units, units_within
from cairn_privacy.blocks import EVERYONE, Blocks
from cairn_privacy.chain import Account, damaged
from cairn_privacy.durable import publish
from cairn_privacy.ledger_file import LedgerFile, Passing, head_path, no_step
from cairn_privacy.links import Entry, StudyAccount, Terms
from cairn_privacy.witnessed import LONGEST_TEXT, Witnessed, now
from cairn_protocol.errors import BudgetRefusal, InputError, OurFault, PolicyRefusal

LARGEST_CAP: Final = 50.0
LARGEST_DELTA: Final = 1e-3
_SAME_CAP: Final = 1 + 1e-9  # the same ε and δ may round to another last bit elsewhere
_CLINIC: Final = (
    "this release would exceed the clinic's privacy cap",
    "the clinic has answered all that its cap allows for these patients; a study of patients who "
    "entered in other quarters can still be answered",
)
_STUDY: Final = (
    "this study's privacy cap is used up here: it was answered before",
    "use the results of that run; another study can ask anew, and is charged anew",
)


class Ledger(Witnessed):
    """An open ledger. Make one with `create`, once in a clinic's life, or `open`."""

    def __init__(self, file: LedgerFile, account: Account) -> None:
        super().__init__(file, account)
        self._cap = account.cap
        self._caps: dict[str, int] = {}  # of studies, where lower than in the chain

    @classmethod
    def create(cls, path: Path, *, clinic: str, cap_epsilon: float, delta: float) -> Self:
        """A new ledger at `path`, mode 0600, whose charges may never exceed the cap.

        Raises:
            InputError: something lies at `path` already, the folder cannot be written, or the cap
                cannot be one.
        """
        if not (clinic and 0 < cap_epsilon <= LARGEST_CAP and 0 < delta <= LARGEST_DELTA):
            raise InputError(
                "this cannot be a clinic's privacy cap",
                code="ledger-cap",
                why=f"ε is to lie between 0 and {LARGEST_CAP:g}, δ between 0 and {LARGEST_DELTA:g}",
                hint="usual are ε = 8 and δ = 1e-6 over the life of a block of patients",
            )
        terms = Terms(
            clinic,
            repr(float(cap_epsilon)),
            repr(float(delta)),
            units_within(rho_for(cap_epsilon, delta)),
        )
        with publish(path, head_path(path)) as draft:
            file = LedgerFile(draft)
            file.prepare()
            with cls(file, Account()) as ledger:
                ledger._append(terms.body(now()))
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, cap_rho: float | None = None, passing: Passing = no_step) -> Self:
        """The ledger at `path`, every hash and rule of it verified.

        Args:
            cap_rho: the clinic's cap as its configuration has it now. Below the ledger's own it
                holds instead of it; above, it is refused.
            passing: is told of each step of a link to the disk.

        Raises:
            InputError: no ledger is there, another process has it open, it is damaged, or its cap
                was to be raised.
        """
        file = LedgerFile.existing(path, passing=passing)
        account = Account()
        try:
            for number, body, digest in file.read():
                account.adopt(account.check(number, body, digest))
            if account.terms is None:
                raise damaged("it has no first entry")
            copied = file.copied_head()
            if copied is None or not account.contains(copied):
                raise damaged("its last charges are missing")
        except BaseException:
            file.close()
            raise
        ledger = cls(file, account)
        if cap_rho is not None:
            ledger._tighten(cap_rho)
        return ledger

    def _tighten(self, cap_rho: float) -> None:
        if cap_rho > self.terms.cap_units * RHO_UNIT * _SAME_CAP:
            self.close()
            raise InputError(
                "a ledger's privacy cap cannot be raised",
                code="cap-raised",
                why=f"it was set to ε = {self.terms.cap_epsilon:g} at δ = {self.terms.delta:g}",
                hint="set the clinic's cap_epsilon (and delta) to that, or lower",
            )
        self._cap = min(self._cap, units_within(cap_rho))

    def declare(self, account: StudyAccount) -> None:
        """Writes down who asks, what it may cost and which patients; the same again changes
        nothing, a lower cap holds while the ledger is open.

        Before its first charge, for a study that is not declared is charged to every block.

        Raises:
            OurFault: the study stands in the chain with other blocks.
        """
        title, name = account.title[:LONGEST_TEXT], account.name[:LONGEST_TEXT]
        account = replace(account, title=title, name=name)
        with self._lock:
            known = self._account.studies.get(account.study)
            charged = account.study in self._account.spent_by_study
            blocks = known.blocks if known else (EVERYONE if charged else account.blocks)
            if blocks != account.blocks:
                raise OurFault(
                    "the study was charged to other patients before",
                    code="study-blocks",
                    why=f"{blocks.words()}; now: {account.blocks.words()}",
                    hint="its file cannot have changed: this version of Cairn reads it otherwise",
                )
            if known is None:
                self._append(account.body(now()))
            self._caps[account.study] = account.cap_units

    def reserve(
        self,
        study: bytes,
        question: str,
        round_: int,
        attempt: int,
        rho: float,
        *,
        run: bytes = b"",
        account: StudyAccount | None = None,
    ) -> int:
        """The number of a new charge of `rho`, which is on disk when this returns.

        Args:
            study: the study's digest; with `run`, `question`, `round_` and `attempt` it names the
                one upload that the charge allows.
            rho: of one release; `NoisePlan.rho_per_round`.
            account: the study's, which is declared first. Without one, now or before, the charge
                goes to every block, and no cap but the clinic's holds.

        Raises:
            BudgetRefusal: the charge would exceed the clinic's or the study's cap; nothing changed.
            PolicyRefusal: this attempt was reserved before, or the ledger is behind (L8).
            OurFault: an impossible charge, or a ledger that could not be written.
        """
        if not (study and question) or min(round_, attempt) < 0:
            raise OurFault("a charge must name its study and question", code="ledger-charge")
        charge = units(rho)
        with self._lock:
            self.check_whole()
            if account is not None:
                if account.study != study.hex():
                    raise OurFault("the account is another study's", code="study-account")
                self.declare(account)
            entry = Entry(study.hex(), run.hex(), question, int(round_), int(attempt), charge)
            if entry.name in self._account.names:
                raise PolicyRefusal(
                    "this attempt was charged before",
                    code="attempt-repeated",
                    why=f"question {question!r}, round {round_}, attempt {attempt}",
                    hint="ask again with a new attempt, which is a new charge",
                )
            blocks = self._account.blocks_of(entry.study)
            self._fit(_CLINIC, self._account.charged.most(blocks) + charge, self._cap)
            if entry.study in self._account.studies:
                spent = self._account.spent_by_study.get(entry.study, 0)
                self._fit(_STUDY, spent + charge, self._cap_of(entry.study))
            return self._append(entry.body(now()))

    def commit(self, entry: int, digest: bytes) -> None:
        """Records that the upload with this SHA-256 `digest` belongs to the charge `entry`.

        Raises:
            OurFault: `entry` is not an open reservation, or the digest is not 32 bytes.
        """
        if len(digest) != 32:
            raise OurFault("an upload's digest has 32 bytes", code="ledger-digest")
        self._close(entry, {"kind": "commit", "upload": digest.hex()})

    def void(self, entry: int, reason: str) -> None:
        """Closes the reservation `entry` without an upload; its ρ stays spent (L3).

        Legal only when nothing was sent. No upload can be committed to `entry` afterwards.

        Raises:
            OurFault: `entry` is not an open reservation, or no reason is given.
        """
        if not reason.strip():
            raise OurFault("a void entry needs a reason", code="ledger-reason")
        self._close(entry, {"kind": "void", "reason": reason})

    @property
    def account(self) -> Account:
        """What the chain says; to be read, not changed."""
        return self._account

    def spent(self, study: bytes | None = None, *, blocks: Blocks = EVERYONE) -> float:
        """ρ charged so far to the most charged of `blocks`, or in all by one study.

        Voided and lost uploads are included.
        """
        with self._lock:
            if study is None:
                return self._account.charged.most(blocks) * RHO_UNIT
            return self._account.spent_by_study.get(study.hex(), 0) * RHO_UNIT

    def left(self, *, blocks: Blocks = EVERYONE) -> float:
        """ρ that may still be charged to all of `blocks`."""
        with self._lock:
            return max(self._cap - self._account.charged.most(blocks), 0) * RHO_UNIT

    @property
    def terms(self) -> Terms:
        """Clinic, cap and δ, as they were set at creation."""
        if self._account.terms is None:
            raise OurFault("the ledger has no terms", code="ledger-terms")
        return self._account.terms

    @property
    def epsilon_spent(self) -> float:
        """ε of what was charged so far to the most charged patients, at the ledger's δ."""
        return epsilon_of_rho(self.spent(), self.terms.delta)

    @property
    def windowed(self) -> bool:
        """Whether anything was charged to some patients and not to others."""
        with self._lock:
            return any(not entry.blocks.whole for entry in self._account.entries.values())

    def entries(self) -> tuple[Entry, ...]:
        """Every charge in order, with what became of it."""
        with self._lock:
            return tuple(self._account.entries.values())

    def pending(self) -> tuple[Entry, ...]:
        """Reservations neither committed nor voided: after a restart, attempts to sit out."""
        return tuple(entry for entry in self.entries() if entry.state == "reserved")

    def _cap_of(self, study: str) -> int:
        in_chain = self._account.studies[study].cap_units
        return min(in_chain, self._caps.get(study, in_chain))

    def _fit(self, limit: tuple[str, str], wanted: int, cap: int) -> None:
        what, hint = limit
        if wanted > cap:
            raise BudgetRefusal(
                what,
                code="cap-reached",
                why=f"ρ would be {wanted * RHO_UNIT:.6g}, the cap is {cap * RHO_UNIT:.6g}",
                hint=hint,
            )

    def _close(self, number: int, body: dict[str, str | int]) -> None:
        with self._lock:
            entry = self._account.entries.get(number)
            if entry is None or entry.state != "reserved":
                raise OurFault(
                    "this reservation is not open",
                    code="ledger-order",
                    why=f"entry {number} is {entry.state if entry else 'unknown'}",
                )
            self._append({**body, "of": number, "at": now()}, copy=False)
