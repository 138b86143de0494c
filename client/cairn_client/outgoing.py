"""`Outgoing`: what would leave this clinic, and what has left; served on admin.sock only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from cairn_client.askable import Askable, askable, study_cap
from cairn_client.audit_log.log import AuditLog
from cairn_client.charged import charged_blocks
from cairn_client.entry_pins import EntryPins, UnchangedPins
from cairn_client.keeper import Keeper
from cairn_client.keeper_admin import find
from cairn_client.keeper_store import KeeperStore
from cairn_client.preview import OwnSum, own_contribution
from cairn_client.reviewers import Reviewers
from cairn_client.sent import Sent, sent
from cairn_client.store_offers import Offered
from cairn_client.study_records import StudyRecords
from cairn_client.study_view import question_view, seconds, study_line
from cairn_client.turn import Turn
from cairn_client.upload_size import upload_bytes
from cairn_models.contribution import Contribution
from cairn_models.records import Records
from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho
from cairn_protocol.errors import CairnError, PolicyRefusal
from cairn_protocol.proto import outgoing_pb2 as pb

BUILDS_ON: Final = (
    "It builds on {names}, whose release it begins with. Before that is known, nobody can say what "
    "this clinic would add, so nothing is shown."
)
FIRST: Final = (
    "This is the first of {rounds} rounds. Each later one begins where the sums of those before "
    "lead, so its numbers will be others."
)
ELSEWHERE: Final = (
    "It is asked of other clinics. This one answers all the same, with the noised numbers of "
    "nobody, so that nobody can tell; its patients are charged as if they were in it."
)
SIGN_IN: Final = PolicyRefusal(
    "its own sums are shown to a reviewer who has signed in",
    code="session-needed",
    why="over few patients a sum without noise is nearly a patient's",
    hint="cairn clinic preview … --person NAME",
)


@dataclass(frozen=True)
class _Here:
    """The clinic's records as a run of the study would find them, or why there are none."""

    records: Records | None = None
    words: str = ""
    obstacle: CairnError | None = None


class Outgoing:
    """The methods of outgoing.proto's Outgoing.

    Args:
        turn: taken while records are read, so that no round is answered meanwhile.
        audit: what has left, once it was written down.
    """

    def __init__(
        self,
        keeper: Keeper,
        store: KeeperStore,
        reviewers: Reviewers,
        audit: AuditLog,
        turn: Turn,
    ) -> None:
        self._keeper, self._store = keeper, store
        self._reviewers, self._audit, self._turn = reviewers, audit, turn

    def preview(self, request: pb.PreviewRequest) -> pb.PreviewReply:
        """What would leave for a study or one of its questions.

        Raises:
            PolicyRefusal: no such study was offered, or it has no such question.
            InputError: `input.keeper-busy`.
            CairnError: the study cannot be answered by anybody.
        """
        allowed = self._may_see(request.session)
        offered = find(self._store.offers(), request.study)
        study, clinics = offered.signed.study(), len(offered.roster.roster)
        asked = askable(study, clinics)
        reply = self._head(offered, asked)
        wanted = [a for name, a in asked.items() if request.question in ("", name)]
        if not wanted:
            raise PolicyRefusal(
                f"the study has no question {request.question!r}",
                code="question-unknown",
                hint=f"it has: {', '.join(asked)}",
            )
        with self._turn.viewing():
            here = self._records(offered) if allowed else _Here(obstacle=SIGN_IN)
            reply.questions.extend(self._question(a, clinics, here) for a in wanted)
        reply.records = here.words
        if here.obstacle is not None:
            reply.no_records, reply.remedy = str(here.obstacle), here.obstacle.hint
        return reply

    def _head(self, offered: Offered, asked: dict[str, Askable]) -> pb.PreviewReply:
        study = offered.signed.study()
        verified = {*self._store.members(), self._keeper.identity.public}
        reply = pb.PreviewReply(
            line=study_line(offered, verified),
            noised=study.noised,
            synthetic=study.synthetic,
            clinics=len(offered.roster.roster),
        )
        if study.noised:
            reply.delta = study.privacy.delta
            reply.epsilon = epsilon_of_rho(study_cap(study, asked), reply.delta)
            reply.admits = charged_blocks(study).words()
        return reply

    def sent(self, request: pb.SentRequest) -> pb.SentReply:
        """Every upload that left, of one study or all.

        Raises:
            PolicyRefusal: no such study was offered.
        """
        digest = ""
        if request.study:
            digest = find(self._store.offers(), request.study).signed.digest.hex()
        ledger = self._keeper.open_ledger_if_any()
        delta = ledger.terms.delta if ledger else 0.0
        return pb.SentReply(uploads=[_upload(s, delta) for s in sent(self._audit, ledger, digest)])

    def _may_see(self, session: str) -> bool:
        """Whether sums without noise may be shown to who asks (W4)."""
        if session:
            self._reviewers.person_of(session)
            return True
        return not self._reviewers.accounts()

    def _records(self, offered: Offered) -> _Here:
        try:
            return _Here(*StudyRecords(self._keeper.clinic).peek(offered.signed.study()))
        except CairnError as error:
            return _Here(obstacle=error)

    def _question(self, asked: Askable, clinics: int, here: _Here) -> pb.QuestionPreview:
        question, told = asked.question, asked.question.contribution
        size = upload_bytes(asked.terms, clinics)
        found = pb.QuestionPreview(
            view=question_view(asked),
            names=told.coordinates,
            round_bytes=size,
            all_bytes=size * question.shape.rounds,
        )
        if question.builds_on:
            found.not_own = BUILDS_ON.format(names=" and ".join(question.builds_on))
        elif here.records is not None:
            name = self._keeper.clinic.config.name
            try:
                own = own_contribution(asked, here.records, self._pins, name)
            except CairnError as error:
                found.not_own = str(error)
                return found
            found.own.CopyFrom(_own(own, told))
            if not question.counts_at(name):
                found.not_own = ELSEWHERE
            elif question.shape.rounds > 1:
                found.not_own = FIRST.format(rounds=question.shape.rounds)
        return found

    @property
    def _pins(self) -> EntryPins:
        return UnchangedPins(self._keeper.clinic.pins_file)


def _upload(upload: Sent, delta: float) -> pb.SentUpload:
    return pb.SentUpload(
        study=upload.study,
        name=upload.name,
        question=upload.question,
        round=upload.round,
        attempt=upload.attempt,
        at=seconds(upload.at),
        bytes=upload.bytes,
        sha256=upload.sha256,
        upload=upload.upload,
        epsilon=epsilon_of_rho(upload.units * RHO_UNIT, delta) if upload.units else 0.0,
        run=upload.run,
    )


def _own(own: OwnSum, told: Contribution) -> pb.OwnSum:
    reply = pb.OwnSum(
        admitted=own.admitted,
        contributing=own.contributing,
        clipped=own.clipped,
        length=float(np.linalg.norm(own.total)),
        example_length=float(np.linalg.norm(own.example)),
    )
    if told.slots:
        reply.sum.extend(own.total)
        reply.example.extend(own.example)
        cells = told.cells(own.total)
        reply.cells.extend(
            pb.PeopleIn(cell=name, people=round(people, 1) + 0.0) for name, people in cells
        )  # to a tenth: sums stand on a grid, whose steps are no people
    return reply
