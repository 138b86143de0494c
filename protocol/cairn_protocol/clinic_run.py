"""`ClinicRun`: a clinic's side of one setup of a run. No I/O: messages in, messages out.

The rule book. Each rule is checked where it is cited; nothing is kept until all of a step's
checks have passed, so a refused message leaves no trace.

    R1  the study is signed by the team that this clinic knows, and is the one it approved
    R2  the roster is of this study, signed by the team, the pinned one, and holds this clinic
    R3  policy and roster admit this clinic's data (`admission`)
    R4  a later setup of a run comes after the last one; it carries the run's progress on
    R5  key packages are of the roster, or of m at least where dropout is recovered from; each is
        signed and answers the same `OpenRun`
    R6  this clinic's own package is the one that it made; no two share a key; no key is weak
    R7  before a mask is made, every other participant's note has come: it signs the same T1 and
        brings the ciphertext, if that clinic made it
    R8  a header names this run, this T1, and the packages' clinics as participants
    R9  rounds come in order, none twice, each behind the records of those before (`history`)
    R10 the context is the one that this clinic computed from study and public state
    R11 the sum cannot wrap
    R12 one vector under one header; the same request again gets the same bytes
    R13 closing erases every key
    R14 no peer is set back: none shows an earlier boot, or another boot of the same count, than
        the newest mark that this clinic has kept of it
    R15 this clinic is not set back: no note shows a mark of its own that its boot or its ledger
        does not follow
    R16 survivors are participants, this clinic is one, and its own upload is what it uploaded
    R17 at least m of them, h of them verified here
    R18 one set of survivors under one header; all survivors' uploads are signed
    R19 other survivors than all participants are opened behind t signatures of theirs

SPEC.md, section 12, has the same rules; sections 5 to 11 have their details. R16 to R19 are
decided in `survivors`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Self

from cairn_protocol.admission import check_opening
from cairn_protocol.clinic_round import ClinicRound
from cairn_protocol.codec import refuse
from cairn_protocol.context import Context
from cairn_protocol.errors import OurFault
from cairn_protocol.fixed_point import check_headroom
from cairn_protocol.history import History, marks_of_others
from cairn_protocol.identity import Identity
from cairn_protocol.keys import KeyPair
from cairn_protocol.mark import Mark
from cairn_protocol.masks import Ring
from cairn_protocol.messages import (
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
    RoundRequest,
    Survivors,
    Upload,
)
from cairn_protocol.progress import Progress
from cairn_protocol.record import Message
from cairn_protocol.roots import Agreement, Greeted, Roots
from cairn_protocol.setup_checks import check_notes, check_own_marks, check_packages, check_peers
from cairn_protocol.states import Role, State, step
from cairn_protocol.survivors import SurvivorRules, check_verified
from cairn_protocol.wire_types import UNSIGNED


class ClinicRun:
    """One setup of one run at one clinic. Start with `ClinicRun.open`."""

    def __init__(
        self,
        identity: Identity,
        opening: OpenRun,
        progress: Progress,
        *,
        mark: Mark,
        verified: frozenset[bytes] | None,
    ) -> None:
        self.study, self.roster = opening.study.study(), opening.roster.roster
        self.progress = progress
        self.index = self.roster.index_of(identity.public)
        self.marks: tuple[Mark, ...] = ()  # others', as the last message showed them
        self.asked = b""  # digest of the header that was accepted last under these keys
        self.state = step(Role.CLINIC, State.NEW, OpenRun)
        self._identity, self._opening, self._mark = identity, opening, mark
        self._verified = self._counted(verified)
        self._recovers = self.study.policy.recovers
        self._agreement: Agreement | None = Agreement(self.index, KeyPair.generate())
        self._greeted: Greeted | None = None
        self._packages: Packages | None = None
        self._roots: Roots | None = None
        self._round: ClinicRound | None = None
        self._replies: dict[type[Message], tuple[Message, Message]] = {}

    @classmethod
    def open(
        cls,
        identity: Identity,
        message: OpenRun,
        *,
        team_public: bytes,
        approved_digest: bytes,
        mark: Mark,
        verified: frozenset[bytes] | None,
        pinned_roster: bytes | None = None,
        data_are_public: bool = False,
        progress: Progress | None = None,
    ) -> tuple[Self, KeyPackage]:
        """A run with fresh keys, and the key package that answers `message`.

        Args:
            identity: this clinic's.
            message: the server's.
            team_public: the research team's Ed25519 key, as this clinic pinned it.
            approved_digest: `Study.digest` of the study that the operator approved.
            mark: where this clinic stands, signed by it.
            verified: public keys that this clinic's operator verified; None where one person
                plays every part. This clinic's own counts in any case.
            pinned_roster: digest of the roster that the operator acknowledged; None: the
                first that the team signs is taken.
            data_are_public: what this clinic's own configuration says of its data.
            progress: of the run's earlier setup, if there was one.

        Raises:
            PeerFault: forged, or not what was approved or pinned.
            PolicyRefusal: policy, roster or data do not admit it.
        """
        check_opening(  # R1, R2, R3
            message,
            team_public=team_public,
            approved_digest=approved_digest,
            pinned_roster=pinned_roster,
            data_are_public=data_are_public,
        )
        if progress is None:
            progress = Progress.fresh(message.run, message.setup)
        elif progress.run != message.run or progress.setup >= message.setup:  # R4
            refuse("setup-past", "this setup of the run was made before")
        run = cls(identity, message, progress.at_setup(message.setup), mark=mark, verified=verified)
        run.check_counted(verified)  # R3
        return run, run._offer()

    def recount(self, verified: frozenset[bytes] | None) -> None:
        """From now on these keys count as verified, where `check_counted` lets them."""
        self._verified = self.check_counted(verified)
        if self._round is not None:
            self._round.recount(self._verified)

    def check_counted(self, verified: frozenset[bytes] | None) -> frozenset[int] | None:
        """Who counts with these keys as verified, as in `open`. Changes nothing.

        Raises:
            PolicyRefusal: too few of the clinics that take part do, or of those that this
                clinic has answered for.
        """
        counted, packages, asked = self._counted(verified), self._packages, self._round
        everyone = tuple(range(len(self.roster)))
        self._check_verified(packages.participants if packages else everyone, counted)
        if asked is not None:
            asked.check_counted(counted)
        return counted

    def _counted(self, verified: frozenset[bytes] | None) -> frozenset[int] | None:
        if verified is None or not self.study.noised:
            return None
        return self.roster.indices_of(verified | {self._identity.public})

    def _check_verified(self, clinics: tuple[int, ...], counted: frozenset[int] | None) -> None:
        rules = replace(self._rules(clinics), verified=counted)
        check_verified(rules, clinics, self.study.policy.verified_needed(len(clinics)))

    @property
    def _least(self) -> int:  # m; every clinic of the roster where a study forbids dropout
        return self.study.policy.survivors if self._recovers else len(self.roster)

    def _rules(self, participants: tuple[int, ...]) -> SurvivorRules:
        policy = self.study.policy
        return SurvivorRules(
            participants=participants,
            own=self.index,
            least=self._least,
            threshold=policy.threshold,
            verified_least=policy.honest,
            verified=self._verified,
        )

    def _offer(self) -> KeyPackage:
        if self._agreement is None:
            raise OurFault("the run has no keys", code="keys-erased")
        unsigned = KeyPackage(
            run=self._opening.run,
            clinic=self.index,
            opening=self._opening.digest,
            x25519=self._agreement.pair.x25519,
            mlkem=self._agreement.pair.mlkem,
            nonce=os.urandom(32),
            mark=self._mark,
            signature=UNSIGNED,
        )
        package = unsigned.with_signature(self._identity.sign("key package", unsigned.signed))
        self._replies[OpenRun] = (self._opening, package)
        return package

    def confirm(self, packages: Packages, seen: Mapping[bytes, Mark]) -> Confirmation:
        """This clinic's notes to the others, after every package was checked.

        Args:
            packages: the participants', relayed by the server.
            seen: the newest mark that this clinic has kept of each identity. Keep `marks` before
                the reply leaves.

        Raises:
            PeerFault: R5, R6 or R14 is broken.
            PolicyRefusal: too few of the participants are verified here.
        """
        after = step(Role.CLINIC, self.state, Packages)
        own = self._replies[OpenRun][1]
        if self._agreement is None or not isinstance(own, KeyPackage):
            raise OurFault("the run has no keys", code="keys-erased")
        check_packages(packages, self._opening, self.roster, own, least=self._least)
        check_peers(packages, self.roster, self.index, seen)
        self._check_verified(packages.participants, self._verified)
        greeted = self._agreement.greet(packages)
        run, t1 = packages.run, packages.t1
        notes = tuple(
            self._note(package, greeted, seen).signed_by(self._identity, run, t1)
            for package in packages.packages
            if package.clinic != self.index
        )
        reply = Confirmation(run, self.index, t1, notes)
        self.marks = tuple(p.mark for p in packages.packages if p.clinic != self.index)
        self._greeted, self._packages, self._agreement = greeted, packages, None
        self.state = after
        self._replies[Packages] = (packages, reply)
        return reply

    def _note(self, package: KeyPackage, greeted: Greeted, seen: Mapping[bytes, Mark]) -> Note:
        witness = (mark,) if (mark := seen.get(package.mark.identity)) else ()
        ciphertext = greeted.ciphertexts.get(package.clinic, b"")
        return Note(self.index, package.clinic, ciphertext, witness, UNSIGNED)

    def accept(
        self, request: RoundRequest, context: Context, contains: Callable[[bytes], bool]
    ) -> Header:
        """The header that this clinic will answer, after every check. Nothing is computed yet.

        Args:
            request: the server's.
            context: what this clinic computed itself from study, roster and `request`'s state.
            contains: whether this clinic's ledger holds a head. Keep `marks` before the reply
                leaves.

        Raises:
            PeerFault: R7 to R10 is broken.
            PolicyRefusal: R11 or R15 is broken.
        """
        after = step(Role.CLINIC, self.state, RoundRequest)
        header, packages = request.header, self._agreed()
        if header.run != packages.run:  # R8
            refuse("run-foreign", "the request is of another run")
        if header.t1 != packages.t1:
            refuse("t1-differs", "the request was made under other keys")
        if header.participants != packages.participants:
            refuse("participants", "the request does not name the clinics that agreed on keys")
        roots = self._roots.copy() if self._roots else self._first_roots(request, contains)
        news = self._history().follow(self.progress, header, request.records)  # R9
        for record in news:
            if record.header.t1 == packages.t1:
                roots.turn(record.digest)
        if not header.means(context):  # R10
            refuse(
                "context-differs",
                "the server and this clinic do not mean the same sum",
                why="model, bound, noise, scale or layout differ",
                hint="compare the versions of Cairn on both sides",
            )
        check_headroom(len(self.roster), context.reach, context.modulus_bits)  # R11
        if self._roots:
            self._roots.erase()
        self._roots, self._greeted = roots, None
        self.marks = marks_of_others(news, self.index)
        self.progress, self.state = self.progress.asked(header), after
        self.asked = header.digest
        self._round = ClinicRound(
            self._identity,
            header,
            context,
            roots=roots,
            rules=self._rules(header.participants),
            keys={i: entry.identity for i, entry in enumerate(self.roster.entries)},
            recovers=self._recovers,
        )
        for kind in (RoundRequest, Survivors, Certificate):
            self._replies.pop(kind, None)
        return header

    def _agreed(self) -> Packages:
        if self._packages is None:
            raise OurFault("no keys were agreed on", code="keys-erased")
        return self._packages

    def _history(self) -> History:
        return History(
            self.index,
            self.roster,
            self._opening.run,
            least=self._least,
            threshold=self.study.policy.threshold,
            questions=[q.name for q in self.study.questions],
        )

    def _first_roots(self, request: RoundRequest, contains: Callable[[bytes], bool]) -> Roots:
        if self._greeted is None:
            raise OurFault("the run has no keys", code="keys-erased")
        received = check_notes(request.notes, self._agreed(), self.roster, self.index)  # R7
        check_own_marks(request.notes, self._mark, contains)  # R15
        return self._greeted.finish(received)

    def upload(self, request: RoundRequest, vector: Ring, mark: Mark) -> Upload:
        """The masked, signed reply to the accepted request.

        Args:
            request: the one that `accept` took last.
            vector: (length,) uint32 or uint64 as the context says; noised and encoded.
            mark: where this clinic stands once it was charged for the vector.

        Raises:
            OurFault: another request, another shape, or a second vector under one header (R12).
        """
        if self._round is None or self._round.header != request.header:
            raise OurFault("this request was not accepted", code="not-accepted")
        reply = self._round.upload(vector, mark)
        if RoundRequest not in self._replies:
            self.state = step(Role.CLINIC, self.state, Upload)
            self.progress = self.progress.uploaded(self._round.uploaded)
            self._replies[RoundRequest] = (request, reply)
        return reply

    def survivors(self, message: Survivors) -> Consent | Opening:
        """What this clinic opens, or first signs, for the survivors that the server names.

        Raises:
            PeerFault: R16 to R18 is broken.
            PolicyRefusal: too few survivors are verified here (R17).
        """
        after = step(Role.CLINIC, self.state, Survivors)
        reply = self._accepted().consider(message)
        self.state = step(Role.CLINIC, after, type(reply))
        self.progress = self.progress.answered_for(message.survivors_digest)
        self._replies[Survivors] = (message, reply)
        return reply

    def certify(self, message: Certificate) -> Opening:
        """What this clinic opens, once enough survivors have signed the same.

        Raises:
            PeerFault: R16 to R19 is broken.
            PolicyRefusal: too few survivors are verified here (R17).
        """
        after = step(Role.CLINIC, self.state, Certificate)
        reply = self._accepted().certify(message)
        self.state = step(Role.CLINIC, after, Opening)
        self.progress = self.progress.answered_for(message.survivors.survivors_digest)
        self._replies[Certificate] = (message, reply)
        return reply

    def _accepted(self) -> ClinicRound:
        if self._round is None:
            raise OurFault("no request was accepted", code="not-accepted")
        return self._round

    def cached(self, message: Message) -> Message | None:
        """The reply that this very message got before, or None."""
        request, reply = self._replies.get(type(message), (None, None))
        return reply if request == message else None

    def close(self, message: CloseRun) -> Closed:
        """This clinic's last word; every key is erased (R13). Keep `marks` before it leaves.

        Raises:
            PeerFault: of another run, or with a forged history.
        """
        after = step(Role.CLINIC, self.state, CloseRun)
        if message.run != self._opening.run:
            refuse("run-foreign", "the closing is of another run")
        news = self._history().follow(self.progress, None, message.records)
        self.marks = marks_of_others(news, self.index)
        unsigned = Closed(message.run, self.index, self.progress.head, UNSIGNED)
        reply = unsigned.with_signature(self._identity.sign("closed", unsigned.signed))
        self.erase()
        self.state = after
        self._replies = {CloseRun: (message, reply)}
        return reply

    def erase(self) -> None:
        """Forgets every key; for `close`, and for a keeper that gives the run up."""
        if self._roots:
            self._roots.erase()
        self._roots = self._agreement = self._greeted = self._round = None
        self.state = State.CLOSED
