"""`ServerRun`: the server's side of one setup of a run. No I/O: messages in, messages out.

The server learns the sum and nothing else, so it checks only that each reply is its clinic's,
answers what was asked, and is such that the other clinics need not refuse what it goes into: else
one clinic could drive the others out. A clinic trusts none of these checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.codec import refuse
from cairn_protocol.context import Context, state_digest
from cairn_protocol.errors import OurFault
from cairn_protocol.fixed_point import check_headroom
from cairn_protocol.identity import verify
from cairn_protocol.keys import check_public
from cairn_protocol.mark import Mark
from cairn_protocol.messages import (
    AnyMessage,
    Certificate,
    Closed,
    CloseRun,
    Confirmation,
    Consent,
    Header,
    KeyPackage,
    Note,
    Opening,
    OpenRun,
    Packages,
    Refusal,
    RoundRecord,
    RoundRequest,
    Survivors,
    Upload,
    genesis,
)
from cairn_protocol.record import Message
from cairn_protocol.roster import SignedRoster
from cairn_protocol.round_messages import LARGEST_HISTORY
from cairn_protocol.server_round import ServerRound
from cairn_protocol.setup_checks import check_confirmation, check_mark_follows, check_package
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.states import Role, State, step

SMALL_REPLY: Final = 8192  # bytes: any reply without a vector, notes or shares
BYTES_A_PEER: Final = 1536  # of a note, of a share with its commitments, of an opening's parts
ReplyT = TypeVar("ReplyT", KeyPackage, Confirmation, Upload, Consent, Opening, Closed)


class ServerRun:
    """One setup of one run, at the server. Start with `ServerRun.open`.

    `records` are those of all finished rounds; store each new one (with the run's id and `setup`)
    and a killed server carries on with `ServerRun.open(..., setup=setup + 1, records=records)`.
    """

    def __init__(
        self, opening: OpenRun, records: Sequence[RoundRecord], seen: Iterable[Mark]
    ) -> None:
        self.opening = opening
        self.roster = opening.roster.roster
        self.policy = opening.study.study().policy
        self.records = list(records)
        self.participants: tuple[int, ...] = tuple(range(len(self.roster)))
        self.state = step(Role.SERVER, State.NEW, OpenRun)
        self._t1 = b""
        self._packages: dict[int, KeyPackage] = {}
        self._confirmations: dict[int, Confirmation] = {}
        shown = (u.mark for record in records for u in record.uploads)
        self._seen: dict[bytes, Mark] = {}  # the newest of each identity
        for mark in (*seen, *shown):
            if mark.follows(self._seen.get(mark.identity, mark)):
                self._seen[mark.identity] = mark
        self._genuine: set[Mark] = set()  # marks that notes show
        self._greeted: set[int] = set()  # clinics that have answered a request with their notes
        self._round: ServerRound | None = None
        self._closed: dict[int, Closed] = {}
        self._finished: tuple[str, int] | None = None

    @classmethod
    def open(
        cls,
        run: bytes,
        study: SignedStudy,
        roster: SignedRoster,
        *,
        setup: int = 0,
        records: Sequence[RoundRecord] = (),
        seen: Iterable[Mark] = (),
    ) -> tuple[Self, OpenRun]:
        """A run and the message that opens it at every clinic.

        Args:
            run: 16 random bytes, the same in every setup of a run.
            study: signed by the team.
            roster: of that study, signed by the team.
            setup: from 0; one more each time that keys must be made anew (a keeper or the
                server was restarted).
            records: of all rounds that were finished, in a later setup.
            seen: clinics' marks from other runs. A clinic that stands behind its
                own is refused before the others see it, and refuse to go on.
        """
        message = OpenRun(run, setup, study, roster)
        return cls(message, records, seen), message

    @property
    def transcript(self) -> bytes:
        """The transcript that the next round follows."""
        return self.records[-1].digest if self.records else genesis(self.opening.run)

    @property
    def blamed(self) -> tuple[int, ...]:
        """Clinics that dealt or opened wrong shares for the last sum."""
        return self._round.blamed if self._round else ()

    @property
    def disputed(self) -> tuple[tuple[int, int], ...]:
        """(dealer, opener) of shares that the opener calls unreadable: one of them is to blame."""
        return self._round.disputed if self._round else ()

    @property
    def asked(self) -> tuple[int, ...]:
        """Indices of the clinics whose reply to the last message is awaited."""
        if self.state is State.NAMED or self.state is State.CERTIFIED:
            return self._open.survivors
        return self.participants

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of the clinics that have not answered the last message."""
        have = self._have()
        return tuple(i for i in self.asked if i not in have)

    @property
    def fewest(self) -> int:
        """How many replies the last message needs, so that the run can go on."""
        if not self.policy.recovers:
            return len(self.participants)
        match self.state:
            case State.OPENED | State.ASKED:
                return self.policy.survivors
            case State.NAMED:
                return self.policy.threshold
            case _:
                return len(self.asked)

    @property
    def enough(self) -> bool:
        """Whether the run can go on with the replies that have come."""
        return len(self.asked) - len(self.missing) >= self.fewest

    def _have(self) -> Mapping[int, Message]:
        replies: dict[State, Mapping[int, Message]] = {
            State.OPENED: self._packages,
            State.AGREED: self._confirmations,
            State.CLOSED: self._closed,
        }
        if (here := self._round) is not None:
            replies[State.ASKED] = here.uploads
            replies[State.CERTIFIED] = here.openings
            if self.state is State.NAMED:
                replies[State.NAMED] = here.openings if here.everyone else here.consents
        return replies[self.state]

    @property
    def reply_limit(self) -> int:
        """The most bytes that a reply to the last message can have: `decode`'s limit for it."""
        limit = SMALL_REPLY + BYTES_A_PEER * len(self.participants)
        return limit + self._open.context.vector_bytes if self.state is State.ASKED else limit

    def receive(self, clinic: int, reply: AnyMessage) -> None:
        """Takes the reply of the clinic with index `clinic`; the same reply again changes nothing.

        Raises:
            PeerFault: not from that clinic, not an answer to what was asked, a second and
                different answer, or (`peer.refused`) a refusal in the clinic's words.
        """
        match reply:
            case KeyPackage():
                self._take(self._packages, clinic, reply, self._check_package)
            case Confirmation():
                self._take(self._confirmations, clinic, reply, self._check_confirmation)
            case Upload() | Consent() | Opening() if self._round is None:
                refuse("out-of-order", "a clinic answered before a round was asked")
            case Upload():
                self._take(self._open.uploads, clinic, reply, self._check_upload)
            case Consent():
                self._take(self._open.consents, clinic, reply, self._open.check_consent)
            case Opening():
                self._take(self._open.openings, clinic, reply, self._check_opening)
            case Closed():
                self._take(self._closed, clinic, reply, self._check_closed)
            case Refusal():
                raise reply.as_error()
            case _:
                refuse("out-of-order", f"a clinic does not send a {type(reply).__name__}")

    def _take(
        self,
        taken: dict[int, ReplyT],
        clinic: int,
        reply: ReplyT,
        check: Callable[[ReplyT], None],
    ) -> None:
        if not 0 <= clinic < len(self.roster):
            raise OurFault("no clinic has this index", code="index")
        if reply.run != self.opening.run:
            refuse("run-foreign", "a reply is of another run")
        if reply.clinic != clinic:
            refuse("not-the-sender", "a clinic answered in another's name")
        if taken.get(clinic) == reply:
            return
        after = self.state
        if not isinstance(reply, Closed):
            after = step(Role.SERVER, self.state, type(reply))
        elif self.state is not State.CLOSED:
            refuse("out-of-order", "a clinic closed a run that is open")
        if clinic in taken:
            refuse("second-answer", f"{self._name(clinic)} gave two different answers")
        if clinic not in self.asked:
            refuse("not-asked", f"{self._name(clinic)} was not asked")
        check(reply)
        taken[clinic], self.state = reply, after

    def _name(self, clinic: int) -> str:
        return self.roster.entries[clinic].clinic

    def _check_package(self, reply: KeyPackage) -> None:
        check_package(reply, self.opening, self.roster)
        check_mark_follows(reply.mark, self._name(reply.clinic), self._seen)
        check_public(reply.x25519, reply.mlkem)
        if any(reply.x25519 == p.x25519 or reply.mlkem == p.mlkem for p in self._packages.values()):
            refuse("key-shared", f"{self._name(reply.clinic)} sent another clinic's key")

    def _check_confirmation(self, reply: Confirmation) -> None:
        check_confirmation(reply, self.participants, self.roster, self._t1, self._genuine)

    def _check_upload(self, reply: Upload) -> None:
        self._open.check_upload(reply)
        package = self._packages[reply.clinic].mark
        check_mark_follows(reply.mark, self._name(reply.clinic), {package.identity: package})

    def _check_opening(self, reply: Opening) -> None:
        if self.state is State.NAMED and not self._open.everyone:
            refuse("out-of-order", "a clinic opened shares before survivors had signed")
        self._open.check_opening(reply)

    def _check_closed(self, reply: Closed) -> None:
        key = self.roster.entries[reply.clinic].identity
        if not verify(key, "closed", reply.signed, reply.signature):
            refuse("closed-forged", f"{self._name(reply.clinic)} did not sign it")

    @property
    def _open(self) -> ServerRound:
        if self._round is None:
            raise OurFault("no round is open", code="out-of-order")
        return self._round

    def _needs(self, what: str) -> None:
        if not self.enough:
            names = ", ".join(self._name(i) for i in self.missing)
            raise OurFault(f"{what} needs more clinics", code="incomplete", why=f"missing: {names}")

    def packages(self) -> Packages:
        """The key packages that came, for every clinic that sent one: the participants from here.

        Raises:
            OurFault: too few came.
        """
        after = step(Role.SERVER, self.state, Packages)
        self._needs("the set of key packages")
        message = Packages(
            self.opening.run, tuple(package for _, package in sorted(self._packages.items()))
        )
        self.participants = message.participants
        self._t1, self.state = message.t1, after
        return message

    def request(self, context: Context, public_state: bytes) -> dict[int, RoundRequest]:
        """The request for one attempt at one round, for each participant by its index.

        They differ in the notes, and in the records: each clinic gets those that it may not know.
        Uploads of an attempt that is still open are forgotten: a vector opens only with all
        others of its own header. The clinics check the order of rounds and attempts.

        Args:
            context: of this attempt; its `study` and `roster` are the run's.
            public_state: as `state_bytes` gives it.

        Raises:
            OurFault: confirmations are missing, or context and run do not fit.
            PolicyRefusal: the sum could wrap.
        """
        after = step(Role.SERVER, self.state, RoundRequest)
        if self.state is State.AGREED:
            self._needs("the first round")
        run = (self.opening.study.digest, self.roster.digest, state_digest(public_state))
        if (context.study, context.roster, context.state) != run:
            raise OurFault("the context is of another study, roster or state", code="context")
        if self._finished == (context.question, context.round):
            raise OurFault("this round is finished", code="round-finished")
        check_headroom(len(self.roster), context.reach, context.modulus_bits)
        header = Header(
            run=self.opening.run,
            t1=self._t1,
            question=context.question,
            round=context.round,
            attempt=context.attempt,
            participants=self.participants,
            context=context.digest,
            previous=self.transcript,
        )
        self._round = ServerRound(header, context, self.policy, self.roster)
        self.state = after
        notes = self._notes()
        return {
            clinic: RoundRequest(header, public_state, notes.get(clinic, ()), self._unknown(clinic))
            for clinic in self.participants
        }

    def _notes(self) -> dict[int, tuple[Note, ...]]:
        waiting: dict[int, list[Note]] = {
            c: [] for c in self.participants if c not in self._greeted
        }
        for _, confirmation in sorted(self._confirmations.items()):
            for note in confirmation.notes:
                if note.receiver in waiting:
                    waiting[note.receiver].append(note)
        return {clinic: tuple(notes) for clinic, notes in waiting.items()}

    def _unknown(self, clinic: int) -> tuple[RoundRecord, ...]:
        """The records from the last round on that the clinic is known to have answered."""
        last = 0
        for number, record in enumerate(self.records):
            if clinic in record.survivors:
                last = number
        return tuple(self.records[last:][-LARGEST_HISTORY:])

    def survivors(self) -> dict[int, Survivors]:
        """Who survived, for each survivor with the shares for it; empty if dropout is forbidden.

        Raises:
            OurFault: too few uploads came.
        """
        if not self.policy.recovers:
            return {}
        after = step(Role.SERVER, self.state, Survivors)
        self._needs("the sum")
        messages, self.state = self._open.name_survivors(), after
        return messages

    def certificate(self) -> dict[int, Certificate]:
        """The survivors' signatures, for each of them; empty where every participant survived.

        Raises:
            OurFault: too few signed.
        """
        if not self.policy.recovers or self._open.everyone:
            return {}
        after = step(Role.SERVER, self.state, Certificate)
        self._needs("the certificate")
        messages, self.state = self._open.certificates(), after
        return messages

    def total(self) -> NDArray[np.int64]:
        """The sum over the survivors, (length,) int64; the round is finished, its record is last.

        Raises:
            OurFault: an upload or an opening is missing.
            PeerFault: `peer.shares-wrong`: the masks cannot be taken off; `blamed` says whose
                shares were wrong.
        """
        here = self._open
        self._needs("the sum")
        opened = self.state is State.CERTIFIED or (self.state is State.NAMED and here.everyone)
        if self.policy.recovers and not opened:
            raise OurFault("the survivors have not opened their shares", code="incomplete")
        total = here.total()
        self._greeted |= set(here.uploads)
        self._finished = (here.header.question, here.header.round)
        self.records.append(here.record())
        return total

    def close(self, reason: str) -> dict[int, CloseRun]:
        """The message that ends the run, for each participant with the records that it may lack."""
        self.state = step(Role.SERVER, self.state, CloseRun)
        return {
            clinic: CloseRun(self.opening.run, reason, self._unknown(clinic))
            for clinic in self.participants
        }
