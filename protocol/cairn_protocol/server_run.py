"""`ServerRun`: the server's side of one setup of a run. No I/O: messages in, messages out.

The server learns the sum and nothing else, so it checks only that each reply is its clinic's and
answers what was asked. A clinic trusts none of these checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.codec import refuse
from cairn_protocol.context import Context, state_digest
from cairn_protocol.errors import OurFault
from cairn_protocol.fixed_point import check_headroom, decode, from_wire, word
from cairn_protocol.identity import verify
from cairn_protocol.masks import Ring
from cairn_protocol.messages import (
    AnyMessage,
    Closed,
    CloseRun,
    Confirmation,
    Header,
    KeyPackage,
    OpenRun,
    Packages,
    Refusal,
    RoundRecord,
    RoundRequest,
    SignedDigest,
    Upload,
    genesis,
)
from cairn_protocol.record import Message
from cairn_protocol.roster import SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.states import Role, State, step

SMALL_REPLY: Final = 4096  # bytes: any reply but its vector; a `Refusal` is the largest
ReplyT = TypeVar("ReplyT", KeyPackage, Confirmation, Upload, Closed)


class ServerRun:
    """One setup of one run, at the server. Start with `ServerRun.open`.

    `record` is the last finished round's; store it (with the run's id and `setup`) and a killed
    server carries on with `ServerRun.open(..., setup=setup + 1, record=record)`.
    """

    def __init__(self, opening: OpenRun, record: RoundRecord | None) -> None:
        self.opening = opening
        self.roster = opening.roster.roster
        self.record = record
        self.state = step(Role.SERVER, State.NEW, OpenRun)
        self._packages: dict[int, KeyPackage] = {}
        self._confirmations: dict[int, Confirmation] = {}
        self._uploads: dict[int, Upload] = {}
        self._closed: dict[int, Closed] = {}
        self._t1 = b""
        self._witnessed = False  # every clinic has answered a request that held all confirmations
        self._asked: tuple[Header, Context] | None = None
        self._finished: tuple[str, int] | None = None

    @classmethod
    def open(
        cls,
        run: bytes,
        study: SignedStudy,
        roster: SignedRoster,
        *,
        setup: int = 0,
        record: RoundRecord | None = None,
    ) -> tuple[Self, OpenRun]:
        """A run and the message that opens it at every clinic.

        Args:
            run: 16 random bytes, the same in every setup of a run.
            study: signed by the team.
            roster: of that study, signed by the team.
            setup: from 0; one more each time that keys must be made anew (a keeper or the
                server was restarted).
            record: of the last round that was finished, in a later setup.
        """
        message = OpenRun(run, setup, study, roster)
        return cls(message, record), message

    @property
    def transcript(self) -> bytes:
        """The transcript that the next round follows."""
        return self.record.digest if self.record else genesis(self.opening.run)

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of the clinics that have not answered the last message."""
        match self.state:
            case State.OPENED:
                have: dict[int, Message] = dict(self._packages)
            case State.AGREED:
                have = dict(self._confirmations)
            case State.ASKED:
                have = dict(self._uploads)
            case _:
                have = dict(self._closed)
        return tuple(i for i in range(len(self.roster)) if i not in have)

    @property
    def reply_limit(self) -> int:
        """The most bytes that a reply to the last message can have: `decode`'s limit for it."""
        if self.state is State.ASKED:
            return SMALL_REPLY + self._open_header()[1].vector_bytes
        return SMALL_REPLY

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
            case Upload():
                self._take(self._uploads, clinic, reply, self._check_upload)
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
        check: Callable[[bytes, ReplyT], None],
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
        check(self.roster.entries[clinic].identity, reply)
        taken[clinic], self.state = reply, after

    def _name(self, clinic: int) -> str:
        return self.roster.entries[clinic].clinic

    def _check_package(self, key: bytes, reply: KeyPackage) -> None:
        if reply.opening != self.opening.digest:
            refuse("package-foreign", "a key package answers another opening of the run")
        if not verify(key, "key package", reply.signed, reply.signature):
            refuse("package-forged", f"{self._name(reply.clinic)} did not sign its key package")

    def _check_confirmation(self, key: bytes, reply: Confirmation) -> None:
        if reply.t1 != self._t1:
            refuse("t1-differs", f"{self._name(reply.clinic)} confirmed other keys")
        if not verify(key, "confirmation", reply.signed, reply.signature):
            refuse("confirmation-forged", f"{self._name(reply.clinic)} did not sign it")

    def _check_upload(self, key: bytes, reply: Upload) -> None:
        header, context = self._open_header()
        if reply.header != header.digest:
            refuse("header-differs", "an upload answers another request")
        if reply.modulus_bits != context.modulus_bits or len(reply.vector) != context.vector_bytes:
            refuse("vector-size", "an upload is not of the length that was asked")
        if not verify(key, "upload", reply.signed, reply.signature):
            refuse("upload-forged", f"{self._name(reply.clinic)} did not sign its upload")

    def _check_closed(self, key: bytes, reply: Closed) -> None:
        if not verify(key, "closed", reply.signed, reply.signature):
            refuse("closed-forged", f"{self._name(reply.clinic)} did not sign it")

    def _open_header(self) -> tuple[Header, Context]:
        if self._asked is None:
            raise OurFault("no round is open", code="out-of-order")
        return self._asked

    def _complete(self, what: str) -> None:
        if self.missing:
            names = ", ".join(self._name(i) for i in self.missing)
            raise OurFault(f"{what} needs every clinic", code="incomplete", why=f"missing: {names}")

    def packages(self) -> Packages:
        """All key packages, for every clinic.

        Raises:
            OurFault: some are missing.
        """
        after = step(Role.SERVER, self.state, Packages)
        self._complete("the set of key packages")
        message = Packages(
            self.opening.run, tuple(self._packages[i] for i in range(len(self.roster)))
        )
        self._t1, self.state = message.t1, after
        return message

    def request(self, context: Context, public_state: bytes) -> RoundRequest:
        """The request for one attempt at one round, the same for every clinic.

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
            self._complete("the first round")
        run = (self.opening.study.digest, self.roster.digest, state_digest(public_state))
        if (context.study, context.roster, context.state) != run:
            raise OurFault("the context is of another study, roster or state", code="context")
        if self._finished == (context.question, context.round):
            raise OurFault("this round is finished", code="round-finished")
        check_headroom(len(self.roster), context.reach, context.modulus_bits)
        everyone = tuple(range(len(self.roster)))
        header = Header(
            run=self.opening.run,
            t1=self._t1,
            question=context.question,
            round=context.round,
            attempt=context.attempt,
            participants=everyone,
            context=context.digest,
            previous=self.transcript,
        )
        message = RoundRequest(
            header=header,
            public_state=public_state,
            confirmations=()
            if self._witnessed
            else tuple(self._confirmations[i] for i in everyone),
            record=(self.record,) if self.record else (),
        )
        self._asked, self._uploads, self.state = (header, context), {}, after
        return message

    def total(self) -> NDArray[np.int64]:
        """The sum over all clinics, (length,) int64; the round is finished.

        Raises:
            OurFault: an upload is missing.
        """
        header, context = self._open_header()
        self._complete("the sum")
        ring, length = context.modulus_bits, context.length
        total: Ring = np.zeros(length, dtype=word(ring))
        for upload in self._uploads.values():
            np.add(total, from_wire(upload.vector, ring, length), out=total)
        self._witnessed, self._finished = True, (header.question, header.round)
        self.record = RoundRecord(
            header.digest,
            tuple(
                SignedDigest(i, upload.vector_digest, upload.signature)
                for i, upload in sorted(self._uploads.items())
            ),
        )
        return decode(total, ring)

    def close(self, reason: str) -> CloseRun:
        """The message that ends the run at every clinic."""
        self.state = step(Role.SERVER, self.state, CloseRun)
        return CloseRun(self.opening.run, reason)
