"""`ClinicRun`: a clinic's side of one setup of a run. No I/O: messages in, messages out.

The rule book. Each rule is checked where it is cited; nothing is kept until all of a step's
checks have passed, so a refused message leaves no trace.

    R1  the study is signed by the team that this clinic knows, and is the one it approved
    R2  the roster is of this study, signed by the team, the pinned one, and holds this clinic
    R3  policy and roster admit this clinic's data (`admission`)
    R4  a later setup of a run comes after the last one; it carries the run's progress on
    R5  every clinic's key package is there once, signed, and answers the same `OpenRun`
    R6  this clinic's own package is the one that it made; no two share a key; no secret is zero
    R7  before a mask is made, every clinic has confirmed the same T1, and this clinic's own
        confirmation is the one that it made
    R8  a header names this run, this T1, and the whole roster as participants
    R9  rounds come in order, none twice, each behind the transcript of the one before
    R10 the context is the one that this clinic computed from study and public state
    R11 the sum cannot wrap
    R12 one vector under one header; the same request again gets the same bytes
    R13 closing erases every key

SPEC.md, section 12, has the same rules; sections 5 to 11 have their details.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Self

from cairn_protocol.admission import check_admission
from cairn_protocol.codec import refuse
from cairn_protocol.context import Context
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.fixed_point import check_headroom, to_wire, word
from cairn_protocol.identity import Identity, verify
from cairn_protocol.keys import KeyPair, erase, pair_root, pair_seed
from cairn_protocol.masks import Ring, masked
from cairn_protocol.messages import (
    Closed,
    CloseRun,
    Confirmation,
    Header,
    KeyPackage,
    OpenRun,
    Packages,
    RoundRequest,
    Upload,
    upload_statement,
    vector_digest,
)
from cairn_protocol.progress import Progress
from cairn_protocol.record import Message
from cairn_protocol.roster import Roster
from cairn_protocol.states import Role, State, step
from cairn_protocol.study import Study

UNSIGNED = bytes(64)


class ClinicRun:
    """One setup of one run at one clinic. Start with `ClinicRun.open`."""

    def __init__(
        self, identity: Identity, opening: OpenRun, study: Study, roster: Roster, progress: Progress
    ) -> None:
        self.study = study
        self.roster = roster
        self.index = roster.index_of(identity.public)
        self.progress = progress
        self.heads: tuple[bytes, ...] = ()  # every clinic's ledger head, once R7 has passed
        self.state = step(Role.CLINIC, State.NEW, OpenRun)
        self._identity = identity
        self._opening = opening
        self._pair: KeyPair | None = KeyPair.generate()
        self._roots: dict[int, bytearray] = {}
        self._t1 = b""
        self._asked: tuple[Header, Context] | None = None
        self._replies: dict[type[Message], tuple[Message, Message]] = {}

    @classmethod
    def open(
        cls,
        identity: Identity,
        message: OpenRun,
        *,
        team_public: bytes,
        approved_digest: bytes,
        pinned_roster: bytes | None = None,
        verified: Collection[bytes] | None = None,
        data_are_public: bool = False,
        epoch: int = 0,
        progress: Progress | None = None,
    ) -> tuple[Self, KeyPackage]:
        """A run with fresh keys, and the key package that answers `message`.

        Args:
            identity: this clinic's.
            message: the server's.
            team_public: the research team's Ed25519 key, as this clinic pinned it.
            approved_digest: `Study.digest` of the study that the operator approved.
            pinned_roster: digest of the roster that the operator acknowledged; None: the
                first that the team signs is taken.
            verified: see `check_admission`.
            data_are_public: what this clinic's own configuration says of its data.
            epoch: number of the keeper's boot; the others see it.
            progress: of the run's earlier setup, if there was one.

        Raises:
            PeerFault: forged, or not what was approved or pinned.
            PolicyRefusal: policy, roster or data do not admit it.
        """
        study = message.study.verified(team_public)  # R1
        if study.digest != approved_digest:
            raise PolicyRefusal(
                "this is not the study that the clinic approved",
                code="study-not-approved",
                hint="look at the new text with `cairn clinic show` and approve or refuse it",
            )
        roster = message.roster.verified(team_public)  # R2
        if roster.study != study.digest:
            refuse("roster-foreign", "the roster is of another study")
        if pinned_roster is not None and roster.digest != pinned_roster:
            refuse("roster-fork", "the roster is not the one that this clinic acknowledged")
        check_admission(study, roster, data_are_public=data_are_public, verified=verified)  # R3
        if progress is None:
            progress = Progress.fresh(message.run, message.setup)
        elif progress.run != message.run or progress.setup >= message.setup:  # R4
            refuse("setup-past", "this setup of the run was made before")
        run = cls(identity, message, study, roster, progress.at_setup(message.setup))
        return run, run._offer(epoch)

    def _keys(self) -> KeyPair:
        if self._pair is None:
            raise OurFault("the run has no keys", code="keys-erased")
        return self._pair

    def _offer(self, epoch: int) -> KeyPackage:
        unsigned = KeyPackage(
            run=self._opening.run,
            clinic=self.index,
            opening=self._opening.digest,
            epoch=epoch,
            x25519=self._keys().public,
            nonce=os.urandom(32),
            signature=UNSIGNED,
        )
        package = unsigned.with_signature(self._identity.sign("key package", unsigned.signed))
        self._replies[OpenRun] = (self._opening, package)
        return package

    def confirm(self, packages: Packages, ledger_head: bytes) -> Confirmation:
        """This clinic's word on T1, after every package was checked and every root derived.

        Args:
            packages: all clinics', relayed by the server.
            ledger_head: 32-byte head of this clinic's ledger.

        Raises:
            PeerFault: R5 or R6 is broken.
        """
        after = step(Role.CLINIC, self.state, Packages)
        self._check_packages(packages)
        t1 = packages.t1
        roots = self._derive(packages, t1)
        unsigned = Confirmation(self._opening.run, self.index, t1, ledger_head, UNSIGNED)
        reply = unsigned.with_signature(self._identity.sign("confirmation", unsigned.signed))
        self._roots, self._t1, self._pair, self.state = roots, t1, None, after
        self._replies[Packages] = (packages, reply)
        return reply

    def _check_packages(self, packages: Packages) -> None:
        if packages.run != self._opening.run:
            refuse("run-foreign", "the key packages are of another run")
        if len(packages.packages) != len(self.roster):  # R5
            refuse("packages-incomplete", "the key packages are not those of the whole roster")
        for package, entry in zip(packages.packages, self.roster.entries, strict=True):
            if package.run != self._opening.run or package.opening != self._opening.digest:
                refuse("package-foreign", "a key package answers another opening of the run")
            if not verify(entry.identity, "key package", package.signed, package.signature):
                refuse("package-forged", f"the key package of {entry.clinic} is not signed by it")
        if packages.packages[self.index] != self._replies[OpenRun][1]:  # R6
            refuse("package-substituted", "this clinic's own key package was exchanged")
        if len({package.x25519 for package in packages.packages}) != len(self.roster):
            refuse("key-shared", "two clinics sent the same key")

    def _derive(self, packages: Packages, t1: bytes) -> dict[int, bytearray]:
        pair = self._keys()
        own = (self.index, pair.public)
        roots: dict[int, bytearray] = {}
        for package in packages.packages:
            if package.clinic != self.index:
                secret = pair.agree(package.x25519)  # R6
                low, high = sorted((own, (package.clinic, package.x25519)))
                root = pair_root(t1, self._opening.run, secret, low, high)
                roots[package.clinic] = bytearray(root)
        return roots

    def accept(self, request: RoundRequest, context: Context) -> Header:
        """The header that this clinic will answer, after every check. Nothing is computed yet.

        Args:
            request: the server's.
            context: what this clinic computed itself from study, roster and `request`'s state.

        Raises:
            PeerFault: R7 to R10 is broken.
            PolicyRefusal: R11 is broken.
        """
        after = step(Role.CLINIC, self.state, RoundRequest)
        header = request.header
        if header.run != self._opening.run:  # R8
            refuse("run-foreign", "the request is of another run")
        if header.t1 != self._t1:
            refuse("t1-differs", "the request was made under other keys")
        if header.participants != tuple(range(len(self.roster))):
            refuse("participants", "the request does not name the whole roster")
        heads = self._confirmed(request.confirmations)
        self.progress.check_next(header, [q.name for q in self.study.questions])  # R9
        head = self.progress.next_head(request, self.roster)
        if not header.means(context):  # R10
            refuse(
                "context-differs",
                "the server and this clinic do not mean the same sum",
                why="model, bound, noise, scale or layout differ",
                hint="compare the versions of Cairn on both sides",
            )
        check_headroom(len(self.roster), context.reach, context.modulus_bits)  # R11
        self.heads, self.progress = heads, self.progress.asked(header, head)
        self._asked, self.state = (header, context), after
        self._replies.pop(RoundRequest, None)
        return header

    def _confirmed(self, confirmations: tuple[Confirmation, ...]) -> tuple[bytes, ...]:
        if not confirmations and self.heads:
            return self.heads
        if [c.clinic for c in confirmations] != list(range(len(self.roster))):  # R7
            refuse("unconfirmed", "not every clinic has confirmed the keys")
        for confirmation, entry in zip(confirmations, self.roster.entries, strict=True):
            if confirmation.run != self._opening.run or confirmation.t1 != self._t1:
                refuse("t1-differs", f"{entry.clinic} confirmed other keys")
            if not verify(
                entry.identity, "confirmation", confirmation.signed, confirmation.signature
            ):
                refuse("confirmation-forged", f"the confirmation of {entry.clinic} is not its own")
        if confirmations[self.index] != self._replies[Packages][1]:
            refuse("confirmation-substituted", "this clinic's own confirmation was exchanged")
        return tuple(confirmation.ledger_head for confirmation in confirmations)

    def upload(self, request: RoundRequest, vector: Ring) -> Upload:
        """The masked, signed reply to the accepted request.

        Args:
            request: the one that `accept` took last.
            vector: (length,) uint32 or uint64 as the context says; noised and encoded.

        Raises:
            OurFault: another request, another shape, or a second vector under one header (R12).
        """
        if self._asked is None or self._asked[0] != request.header:
            raise OurFault("this request was not accepted", code="not-accepted")
        header, context = self._asked
        if vector.shape != (context.length,) or vector.dtype != word(context.modulus_bits):
            raise OurFault("the vector is not of the shape that was agreed", code="vector-type")
        reply = self._mask(header, context, vector)
        if RoundRequest in self._replies:  # R12
            if self._replies[RoundRequest][1] != reply:
                raise OurFault("a second vector under one header", code="second-vector")
            return reply
        self.state = step(Role.CLINIC, self.state, Upload)
        self.progress = self.progress.answered(reply.vector_digest)
        self._replies[RoundRequest] = (request, reply)
        return reply

    def _mask(self, header: Header, context: Context, vector: Ring) -> Upload:
        seeds = {peer: pair_seed(root, header.digest) for peer, root in self._roots.items()}
        wire = to_wire(masked(vector, self.index, seeds), context.modulus_bits)
        digest = vector_digest(context.modulus_bits, wire)
        signed = upload_statement(header.run, self.index, header.digest, digest)
        return Upload(
            run=header.run,
            clinic=self.index,
            header=header.digest,
            modulus_bits=context.modulus_bits,
            vector=wire,
            signature=self._identity.sign("upload", signed),
        )

    def cached(self, message: Message) -> Message | None:
        """The reply that this very message got before, or None."""
        request, reply = self._replies.get(type(message), (None, None))
        return reply if request == message else None

    def close(self, message: CloseRun) -> Closed:
        """This clinic's last word; every key is erased (R13).

        Raises:
            PeerFault: of another run.
        """
        after = step(Role.CLINIC, self.state, CloseRun)
        if message.run != self._opening.run:
            refuse("run-foreign", "the closing is of another run")
        unsigned = Closed(message.run, self.index, self.progress.head, UNSIGNED)
        reply = unsigned.with_signature(self._identity.sign("closed", unsigned.signed))
        self.erase()
        self.state = after
        self._replies = {CloseRun: (message, reply)}
        return reply

    def erase(self) -> None:
        """Forgets every key; for `close`, and for a keeper that gives the run up."""
        for root in self._roots.values():
            erase(root)
        self._roots, self._pair, self._asked = {}, None, None
        self.state = State.CLOSED
