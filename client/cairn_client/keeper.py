"""`Keeper`: the process at a clinic that holds records, keys and ledger, and answers requests.

Bytes in, bytes out: `forward` is all that the link may call. Every request is one protocol
message; every reply is the protocol's answer or a `Refusal` that says why there is none. What a
patient's record holds can reach a reply by one path only, the door.

K1  A study is answered only while this clinic approves exactly these bytes from its team, and
    under the roster that its people saw.
K2  What is computed (question, bound, noise, rounds, layout) comes from the approved study; the
    request only says which round, and carries the public state.
K3  The first public state of a question that builds on nothing is the one that this clinic
    computes itself, so a server cannot plant a model.
K4  A failure while records are at hand is told to nobody but the local log, by its type alone.
K5  A run's place and the reply are in the keeper's state before the reply leaves, whatever it is:
    upload, consent or opening. After a crash a kept reply is sent again, byte for byte; an
    attempt without one is sat out, and void.
K6  A pause or a refusal stops every stage, kept replies too, and what waits to leave. An upload
    that has left cannot be called back: in a study that recovers from dropout, t other clinics can
    open the sum that it is in, so its charge stays. That this clinic opens nothing more is a
    dropout like any other.
K7  The newest marks of the others are kept before this clinic confirms their keys. Once it is
    shown a mark of its own that it does not follow (it was restored or copied), it takes part
    in nothing, over restarts too, until people have settled what its ledger lacks.
K8  The clinic's policy.toml, as it stands at that moment, and the version of its code admit the
    study at every request.
K9  A study that the clinic left has no keys here and no kept reply; its runs' places stay, so that
    nothing is ever answered twice.
K10 Who is verified is counted anew at every request, among the clinics that take part in it and
    among those that the request itself names: it may be of an earlier setup.
"""

from __future__ import annotations

import hashlib
import logging
import threading

from cairn_client.active_runs import ActiveRun, ActiveRuns, check_room, run_unknown
from cairn_client.askable import askable, asked_for
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.door import Asked, Door
from cairn_client.enrolment import pinned_team
from cairn_client.entry_pins import EntryPins
from cairn_client.keeper_state import Approval, KeeperState, Memory
from cairn_client.keeper_steps import Passing, no_step
from cairn_client.kept_replies import check_kept, check_named, check_roster
from cairn_client.outward import outward
from cairn_client.own_mark import OwnMark
from cairn_client.own_name import own_name
from cairn_client.readers import Import
from cairn_client.reconcile import reconcile
from cairn_client.study_records import StudyRecords
from cairn_client.study_rules import StudyRules
from cairn_client.team_post import KeepsFindings, TeamPost
from cairn_models.records import Records
from cairn_privacy.ledger import Ledger
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.errors import (
    BudgetRefusal,
    CairnError,
    OurFault,
    PeerFault,
    PolicyRefusal,
)
from cairn_protocol.messages import (
    Certificate,
    Closed,
    CloseRun,
    Findings,
    Offer,
    OpenRun,
    Packages,
    Refusal,
    RoundRequest,
    Survivors,
    decode,
)
from cairn_protocol.record import Message
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_protocol.wire_types import UNSIGNED

log = logging.getLogger("cairn.keeper")


class Keeper:
    """A clinic's keeper. One request at a time.

    Args:
        clinic: its folder. The ledger is opened with the first study about patients.
        store: what outlives the process; None keeps it in memory, for engines in one process.
        passing: is told of each step.
        findings: where a team's findings go; None: none are taken.
    """

    def __init__(
        self,
        clinic: ClinicFolder,
        store: KeeperState | None = None,
        *,
        passing: Passing = no_step,
        findings: KeepsFindings | None = None,
    ) -> None:
        self.clinic = clinic
        self.identity = clinic.identity()
        self.state: KeeperState = Memory() if store is None else store
        self._passing = passing
        self._ledger: Ledger | None = None
        self._opening = threading.Lock()  # of the ledger: status is asked beside a round
        self._read = StudyRecords(clinic)
        self._active = ActiveRuns()
        self.rules = StudyRules(clinic, self.open_ledger_if_any)
        self.mark = OwnMark(self.identity, self.state, self.open_ledger_if_any)
        self._post = TeamPost(self.identity, self.state, self.team, findings)

    @property
    def ledger(self) -> Ledger:
        """The clinic's ledger; on opening, what a crash left undecided in it is settled."""
        with self._opening:
            if self._ledger is None:
                ledger = self.clinic.ledger()
                reconcile(ledger, self.state)
                self._ledger = ledger
            return self._ledger

    def open_ledger_if_any(self) -> Ledger | None:
        """The ledger, unless no study about patients has needed one yet."""
        return self.ledger if self.clinic.has_ledger else None

    def team(self) -> bytes | None:
        """The research team's public key; None before the clinic joined.

        Raises:
            PolicyRefusal: the clinic joined another team than the one that is pinned here.
        """
        joined = pinned_team(self.clinic)
        if joined is not None and joined != self.state.team():
            self.state.pin_team(joined)
        return self.state.team()

    def approve(self, study: SignedStudy) -> None:
        """Allow exactly this study from exactly this team."""
        self.state.approve(study)

    def read_records(self, study: Study) -> Import:
        """Read the clinic's files with the study's instruments, and keep what was read.

        Raises:
            InputError: a file or the mapping cannot be used at all.
        """
        return self._read.read(study)

    def give_up(self, study: bytes) -> int:
        """Erases the keys of every run of a study that was left (K9); how many runs there were.

        Not while a request is answered.
        """
        runs = self._active.drop_study(study)
        self._read.forget(study)
        self.state.drop_replies(study)
        return runs

    def forward(self, request: bytes) -> bytes:
        """The reply to one request; a refusal is a reply. Never raises."""
        try:
            return self._reply(request).to_bytes()
        except BudgetRefusal as error:
            log.warning("refused: %s: %s", error.code, error.why)
            return outward(error).to_bytes()
        except CairnError as error:
            log.warning("refused: %s", error.code)
            return outward(error).to_bytes()
        except Exception as error:  # K4: the message could name a value
            log.error("could not answer: %s", type(error).__name__)
            fault = OurFault(
                "the clinic could not answer", code="answer-failed", hint="the clinic's log has it"
            )
            return Refusal.of(fault).to_bytes()

    def check_still(self, request: bytes) -> None:
        """Refuses where a request that was answered would not be any more (K6, K7, K8).

        What the server may hear of in a pause is let through. Changes nothing, so that it may be
        asked beside another request's answer.

        Raises:
            CairnError: why, in words that may leave.
        """
        match message := decode(request):
            case OpenRun() | Packages() | Survivors() | Certificate():
                run = message.run
            case RoundRequest():
                run = message.header.run
            case _:
                return
        self.rules.file.usable()
        self.mark.check()
        self._check_approved(run, message)

    def close(self) -> None:
        """Erase every run's keys and release ledger and state."""
        self._active.clear()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        self.state.close()

    def _reply(self, request: bytes) -> Message:
        message, digest = decode(request), hashlib.sha256(request).digest()
        if not isinstance(message, CloseRun):
            self.rules.file.usable()  # K8
        if not isinstance(message, CloseRun | Offer | Findings):
            self.mark.check()  # K7
        match message:
            case OpenRun():
                return self._open(message)
            case Packages():
                return self._confirm(message)
            case RoundRequest():
                return self._round(message, digest)
            case Survivors() | Certificate():
                return self._unmask(message, digest)
            case CloseRun():
                return self._close(message, digest)
            case Offer() | Findings():
                return self._post.answer(message)
            case _:
                raise PeerFault(
                    f"a server does not send a {type(message).__name__}", code="not-a-request"
                )

    def _approval(self, study: bytes) -> Approval:
        self.rules.file.usable()  # K8: how many have to approve stands in it
        approval = self.state.approval(study)  # K1
        if approval is None:
            raise PolicyRefusal(
                "this clinic has not approved the study",
                code="study-not-approved",
                hint="the clinic can look at it and approve it, or leave it",
            )
        self.rules.check_request(approval.study.study())  # K8
        return approval

    def _allowed(self, active: ActiveRun) -> Approval:
        """The standing approval of the run's study, under the run's own roster (K1, K10)."""
        approval = self._acknowledged(active)
        active.run.recount(self.state.verified(active.run.roster))
        return approval

    def _acknowledged(self, active: ActiveRun) -> Approval:
        approval = self._approval(active.run.study.digest)
        check_roster(approval, active.run.roster.digest)
        return approval

    def _open(self, message: OpenRun) -> Message:
        digest = message.study.digest
        approval = self._approval(digest)
        if (active := self._active.get(message.run)) and (known := active.run.cached(message)):
            self._allowed(active)
            return known
        place = self.state.place(message.run)
        if place is None:
            check_room(self.state.runs(digest))
        run, package = ClinicRun.open(
            self.identity,
            message,
            team_public=approval.team,
            approved_digest=digest,
            pinned_roster=approval.roster,
            mark=self.mark.sign(),
            verified=self.state.verified(message.roster.roster),
            data_are_public=self.clinic.config.data == "public",
            progress=place.progress if place else None,
        )
        self._read.have(run.study, message.run)
        ledger = self.ledger if run.study.noised else None
        pins = EntryPins(self.clinic.pins_file)
        name = own_name(run, self.clinic.config)
        door = Door(lambda: self._records(message.run), ledger, pins, clinic=name)
        opened = ActiveRun(run, door, askable(run.study, len(run.roster)))
        self.state.keep(opened.place)  # K5
        self._active.put(message.run, opened)
        self._read.only(active.run.progress.run for active in self._active)
        self._passing("opened")
        return package

    def _records(self, run: bytes) -> Records:
        self._passing("charged")
        return self._read.of(run)

    def _confirm(self, message: Packages) -> Message:
        active = self._active.find(message.run)
        self._allowed(active)
        if known := active.run.cached(message):
            return known
        seen = self.state.marks([entry.identity for entry in active.run.roster.entries])
        reply = active.run.confirm(message, seen)
        self.state.keep_marks(active.run.marks)  # K7
        self._passing("confirmed")
        return reply

    def _round(self, message: RoundRequest, digest: bytes) -> Message:
        header = message.header
        self._check_approved(header.run, message)
        if kept := self.state.reply(header.run, digest):  # K5
            return decode(kept)
        self._allowed(active := self._active.find(header.run))
        askable = asked_for(active.askable, message)  # K2, K3
        question, terms, public = askable.question, askable.terms, message.public
        roster = active.run.roster.digest
        context = terms.context(roster, header.round, header.attempt, message.public_state)
        shown = [witness for note in message.notes for witness in note.witness]
        try:
            active.run.accept(message, context, self.mark.contained(shown))
        except PolicyRefusal:
            self.mark.shown(shown)  # K7
            raise
        self.state.keep_marks(active.run.marks)  # K7
        self.state.keep(active.place)  # a crash from here on: the attempt is sat out
        self._passing("asked")
        leaving = active.door.answer(
            Asked(
                run=header.run,
                question=question,
                terms=terms,
                round_=header.round,
                attempt=header.attempt,
                public=public,
                study_cap=active.study_cap,
                team=self._allowed(active).team,
            )
        )
        self._passing("answered")
        upload = active.run.upload(message, leaving.vector, self.mark.sign())
        self.state.keep(active.place, digest, upload.to_bytes())  # K5
        self._passing("kept")
        if leaving.entry is not None:
            self.ledger.commit(leaving.entry, upload.upload_digest)
        self._passing("committed")
        self._allowed(active)  # people may have paused it meanwhile
        return upload

    def _unmask(self, message: Survivors | Certificate, digest: bytes) -> Message:
        if not self._check_approved(message.run, message):  # K6
            raise run_unknown()
        if kept := self.state.reply(message.run, digest):  # K5
            return decode(kept)
        self._allowed(active := self._active.find(message.run))
        if isinstance(message, Survivors):
            reply: Message = active.run.survivors(message)
            self._passing("considered")
        else:
            reply = active.run.certify(message)
            self._passing("certified")
        self.state.keep(active.place, digest, reply.to_bytes())  # K5
        self._passing("survivors kept" if isinstance(message, Survivors) else "opening kept")
        self._allowed(active)  # people may have paused it meanwhile
        return reply

    def _check_approved(self, run: bytes, message: Message) -> bool:
        """Whether the run is known here, once it is sure that its study still is approved.

        Changes nothing.
        """
        if active := self._active.get(run):
            self._acknowledged(active)
            here = active.run
            verified, asked = self.state.verified(here.roster), here.asked
            here.check_counted(verified)
            check_named(here.study, here.roster, verified, message, own=here.index, asked=asked)
            return True
        place = self.state.place(run)
        if place is not None:
            check_kept(self.state, self._approval(place.study), place, message)
        return place is not None

    def _close(self, message: CloseRun, digest: bytes) -> Message:
        active = self._active.get(message.run)
        if active is None and (kept := self.state.reply(message.run, digest)):
            return decode(kept)
        if active is not None:
            place = active.place
            reply: Message = active.run.close(message)
            self._active.drop(message.run)
            self.state.keep_marks(active.run.marks)  # K7
            self._read.only(active.run.progress.run for active in self._active)
        elif (known := self.state.place(message.run)) is not None:  # its keys went with a restart
            place = known
            unsigned = Closed(message.run, place.clinic, place.progress.head, UNSIGNED)
            reply = unsigned.with_signature(self.identity.sign("closed", unsigned.signed))
        else:
            raise run_unknown()
        self.state.end(place, digest, reply.to_bytes())
        self._passing("closed")
        return reply
