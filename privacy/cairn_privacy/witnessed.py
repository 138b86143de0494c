"""`Witnessed`: a chain in its file, and what becomes of it when it is shown a head that it lacks.

Rolling a ledger back together with its second copy of the head shows to nobody on that machine.
Other clinics keep what this one signed and show it back (`witness`); from then on the ledger stands
still, until two people have answered for what it lacks.
"""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from typing import Final, Self

from cairn_privacy.blocks import quarter
from cairn_privacy.chain import Account, person
from cairn_privacy.ledger_file import LedgerFile
from cairn_privacy.links import Adoption, Behind, Body, Restore
from cairn_protocol.errors import InputError, OurFault, PolicyRefusal

LONGEST_TEXT: Final = 200  # characters of a name, a title or a person that the chain keeps


class Witnessed:
    """An open chain; `Ledger` adds the charges."""

    def __init__(self, file: LedgerFile, account: Account) -> None:
        self._file = file
        self._account = account
        self._lock = threading.RLock()

    def head(self) -> bytes:
        """SHA-256 of the last link: 32 bytes that stand for the whole history."""
        with self._lock:
            return self._account.head.digest

    def contains(self, head: bytes, epoch: int | None = None) -> bool:
        """Whether `head` is, or once was, this ledger's head, or two people answered for it.

        They answer for all that was signed up to a boot, so `epoch`, the boot that signed `head`,
        says more. False means that the ledger was rolled back, or that a copy of it is in use. 32
        zero bytes stand for a ledger before its first link.
        """
        with self._lock:
            return self._account.answers_for(head, epoch)

    def witness(self, head: bytes, epoch: int) -> bool:
        """Whether `head`, which this clinic signed in its boot `epoch`, is this ledger's past.

        If it is not, the ledger has stopped when this returns, and stays so over restarts (L8).
        Ask only once the clinic's own signature on both was verified.
        """
        with self._lock:
            if self._account.answers_for(head, epoch):
                return True
            behind = Behind(head.hex(), epoch)
            if behind not in self._account.missing:
                self._append(behind.body(now()))
            return False

    def propose_restore(self, by: str, *, everything: bool, today: date) -> Restore:
        """Writes down that `by` answers for what may be missing; a second person has to agree.

        Args:
            by: a person, in their own word.
            everything: not every study that could have been answered meanwhile was declared.
            today: patients who enter in a later quarter keep their budget.

        Raises:
            InputError: nobody is named, or not everything is charged although the ledger holds
                charges of a study that it does not know.
        """
        with self._lock:
            if not everything and self._account.unaccounted:
                raise InputError(
                    "the ledger holds charges of studies whose caps it does not know",
                    code="restore-unaccounted",
                    why=f"{len(self._account.unaccounted)} of them",
                    hint="name their study files, or charge everything",
                )
            self._append(Restore(_name(by), everything, quarter(today)).body(now()))
            if self._account.proposal is None:
                raise OurFault("the proposal was not kept", code="restore-lost")
            return self._account.proposal

    def adopt_restore(self, by: str, *, epoch: int) -> Adoption:
        """Writes down that `by` agrees, charges the gap at its worst case, and lifts the stop.

        Args:
            by: a second person.
            epoch: a boot that no lost copy of this clinic has come to; boots count on from there.

        Raises:
            PolicyRefusal: nothing was proposed, or the same person proposed it.
            OurFault: a later boot was seen.
        """
        name = _name(by)
        with self._lock:
            restore = self._account.proposal
            if restore is None:
                raise PolicyRefusal(
                    "nobody has proposed to restore the ledger",
                    code="restore-not-proposed",
                    hint="one person proposes it, another agrees",
                )
            if person(name) == person(restore.by):
                raise PolicyRefusal(
                    "the same person cannot propose and agree",
                    code="restore-same-person",
                    hint="ask a second person to agree",
                )
            seen = [behind.epoch for behind in self._account.missing]
            if epoch < max(seen, default=0) or epoch <= self._account.answered_epoch:
                raise OurFault("a lost copy has come further", code="restore-epoch")
            self._append(Adoption(restore, name, epoch).body(now()))
            return self._account.adoptions[-1]

    @property
    def behind(self) -> tuple[Behind, ...]:
        """Heads that this clinic signed and this ledger lacks; with any, it has stopped."""
        with self._lock:
            return tuple(self._account.missing)

    @property
    def latest_epoch(self) -> int:
        """The last boot that two people have answered for, or -1; later ones count on from it."""
        with self._lock:
            return self._account.answered_epoch

    def export(self, after: int = 0, most: int | None = None) -> str:
        """The chain as JSON lines, which `verify_export` checks without this file.

        Args:
            after: links to leave out at the beginning.
            most: links in this part; None for all.
        """
        with self._lock:
            return "".join(self._file.export(after, most))

    def close(self) -> None:
        """Releases the file for another process."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_whole(self) -> None:
        """Nothing, unless this clinic signed a head that is not here.

        Raises:
            PolicyRefusal: it did.
        """
        if self._account.missing:
            raise PolicyRefusal(
                "this clinic's ledger is older than what other clinics have seen of it",
                code="ledger-behind",
                hint="bring back the newest copy of it; if there is none, two people of the clinic "
                "can let it go on: `cairn clinic ledger restore`",
            )

    def _append(self, body: Body, *, copy: bool = True) -> int:
        """Writes one link durably, then adopts it; on any failure the ledger stops."""
        row = self._account.next(body)
        following = self._account.check(*row)
        self._file.append(row, copy=copy)
        self._account.adopt(following)
        return row[0]


def _name(by: str) -> str:
    """A person's name as the chain keeps it."""
    if not person(by) or len(by) > LONGEST_TEXT:
        raise InputError(
            "a restore needs the name of a person",
            code="restore-person",
            hint="give the name with --person",
        )
    return " ".join(by.split())


def now() -> str:
    """The time that a link is given; nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
