"""`Keeper`: the process at a clinic that holds records, keys and ledger, and answers requests.

Bytes in, bytes out: `forward` is all that the link may call. Every request is one protocol
message; every reply is the protocol's answer or a `Refusal` that says why there is none. What a
patient's record holds can reach a reply by one path only, the door.

K1  A study is answered only if this clinic approved exactly these bytes from this team.
K2  What is computed (question, bound, noise, rounds, layout) comes from the approved study; the
    request only says which round, and carries the public state.
K3  The first public state of a question that builds on nothing is the one that this clinic
    computes itself, so a server cannot plant a model.
K4  A failure while records are at hand is told to nobody but the local log, by its type alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.door import Asked, Door
from cairn_client.readers import Import
from cairn_models.questions import build
from cairn_models.questions.base import Question, instrument_of
from cairn_privacy.ledger import Ledger
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.errors import CairnError, OurFault, PeerFault, PolicyRefusal
from cairn_protocol.messages import (
    CloseRun,
    OpenRun,
    Packages,
    Refusal,
    RoundRequest,
    Upload,
    decode,
)
from cairn_protocol.record import Message
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study

log = logging.getLogger("cairn.keeper")
NO_HEAD: Final = bytes(32)  # ledger head of a clinic whose data are public


@dataclass(frozen=True)
class _Askable:
    question: Question[Any]
    terms: QuestionTerms


@dataclass
class _Active:
    run: ClinicRun
    door: Door
    askable: dict[str, _Askable]

    @property
    def study_cap(self) -> float:
        """ρ that the study's questions cost as planned; retries must fit into it."""
        plans = [a.terms.noise for a in self.askable.values()]
        return sum(plan.rho for plan in plans if plan is not None)


class Keeper:
    """A clinic's keeper. One request at a time.

    Args:
        clinic: its folder. The ledger is opened with the first study about patients.
    """

    def __init__(self, clinic: ClinicFolder) -> None:
        self.clinic = clinic
        self.identity = clinic.identity()
        self._ledger: Ledger | None = None
        self._approved: dict[bytes, SignedStudy] = {}
        self._imports: dict[bytes, Import] = {}
        self._active: dict[bytes, _Active] = {}

    @property
    def ledger(self) -> Ledger:
        """The clinic's ledger."""
        if self._ledger is None:
            self._ledger = self.clinic.ledger()
        return self._ledger

    def approve(self, study: SignedStudy) -> None:
        """Allow exactly this study from exactly this team."""
        self._approved[study.digest] = study

    def read_records(self, study: Study) -> Import:
        """Read the clinic's files with the study's instruments, and keep what was read.

        Raises:
            InputError: a file or the mapping cannot be used at all.
        """
        own = tuple(instrument_of(study, i.name) for i in study.instruments)
        read = self.clinic.read(own)
        self._imports[study.digest] = read
        return read

    def forward(self, request: bytes) -> bytes:
        """The reply to one request; a refusal is a reply. Never raises."""
        try:
            return self._reply(request).to_bytes()
        except CairnError as error:
            log.warning("refused: %s", error.code)
            return Refusal.of(error).to_bytes()
        except Exception as error:  # K4: the message could name a value
            log.error("could not answer: %s", type(error).__name__)
            fault = OurFault(
                "the clinic could not answer", code="answer-failed", hint="the clinic's log has it"
            )
            return Refusal.of(fault).to_bytes()

    def close(self) -> None:
        """Erase every run's keys and release the ledger."""
        for active in self._active.values():
            active.run.erase()
        self._active.clear()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _reply(self, request: bytes) -> Message:
        match decode(request):
            case OpenRun() as message:
                return self._open(message)
            case Packages() as message:
                return self._confirm(message)
            case RoundRequest() as message:
                return self._round(message)
            case CloseRun() as message:
                return self._close(message)
            case message:
                raise PeerFault(
                    f"a server does not send a {type(message).__name__}", code="not-a-request"
                )

    def _open(self, message: OpenRun) -> Message:
        if (active := self._active.get(message.run)) and (known := active.run.cached(message)):
            return known
        approved = self._approved.get(message.study.digest)  # K1
        if approved is None:
            raise PolicyRefusal(
                "this clinic has not approved the study",
                code="study-not-approved",
                hint="the clinic can look at it and approve it, or leave it",
            )
        run, package = ClinicRun.open(
            self.identity,
            message,
            team_public=approved.team,
            approved_digest=approved.digest,
            data_are_public=self.clinic.config.data == "public",
            progress=active.run.progress if active else None,
        )
        if active:
            active.run.erase()
        door = Door(
            lambda: self._imports[run.study.digest].records,
            self.ledger if run.study.noised else None,
        )
        self._active[message.run] = _Active(run, door, _askable(run.study, len(run.roster)))
        return package

    def _confirm(self, message: Packages) -> Message:
        active = self._run(message.run)
        head = self.ledger.head() if active.run.study.noised else NO_HEAD
        return active.run.cached(message) or active.run.confirm(message, head)

    def _round(self, message: RoundRequest) -> Message:
        active, header = self._run(message.header.run), message.header
        if known := active.run.cached(message):
            return known
        askable = active.askable.get(header.question)  # K2
        if askable is None or header.round >= askable.question.shape.rounds:
            raise PeerFault(
                "the study does not ask this",
                code="not-asked",
                why="its question or its round does not stand in the study",
            )
        question, terms = askable.question, askable.terms
        public = message.public
        if public.size != question.state_length:
            raise PeerFault("the public state has the wrong length", code="state-length")
        if (
            header.round == 0
            and not question.builds_on
            and not np.array_equal(  # K3
                public, question.start({})
            )
        ):
            raise PeerFault(
                "the first model is not the one that the study names", code="state-planted"
            )
        roster = active.run.roster.digest
        context = terms.context(roster, header.round, header.attempt, message.public_state)
        active.run.accept(message, context)
        leaving = active.door.answer(
            Asked(
                run=header.run,
                question=question,
                terms=terms,
                round_=header.round,
                attempt=header.attempt,
                public=public,
                study_cap=active.study_cap,
            )
        )
        upload: Upload = active.run.upload(message, leaving.vector)
        if leaving.entry is not None:
            self.ledger.commit(leaving.entry, upload.vector_digest)
        return upload

    def _close(self, message: CloseRun) -> Message:
        active = self._run(message.run)
        return active.run.cached(message) or active.run.close(message)

    def _run(self, run: bytes) -> _Active:
        if run not in self._active:
            raise PeerFault(
                "this clinic does not know the run",
                code="run-unknown",
                why="it was not opened here since the clinic's service started",
                hint="the server opens the run again under new keys",
            )
        return self._active[run]


def _askable(study: Study, clinics: int) -> dict[str, _Askable]:
    questions = [build(spec, study) for spec in study.questions]
    return {
        q.name: _Askable(q, QuestionTerms.of(study, q.spec, q.shape, clinics)) for q in questions
    }
