"""`StudyRun`: a signed study from set-up to its last answer, over any way to exchange messages.

It knows nothing of Flower: an `Exchange` sends one request to each node and brings the replies.
It never holds a clinic's vector in clear: uploads are masked, and only their sum is opened. With a
journal that survives, a run that was killed is carried on: `StudyRun` is built anew with the same
run id, replays the sums that were opened, and asks what is left.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Public, Question, SumNoise, Vector
from cairn_models.questions.blinded import blinded
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.context import Context, state_bytes
from cairn_protocol.errors import CairnError
from cairn_protocol.messages import RUN_BYTES
from cairn_protocol.roster import RosterEntry, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_server.blinding import draw_letters
from cairn_server.conversation import Check, Conversation, Sum
from cairn_server.equal_questions import Known, Look, nothing_known
from cairn_server.events import Event, Watch, ignore
from cairn_server.exchange import Deadlines, Exchange
from cairn_server.journal import Incident, Journal, MemoryJournal, Unavailable


class StudyRun:
    """One run of a study. `execute` fills `answers`, in the study's order.

    Args:
        signed: the study as its team signed it.
        roster: who takes part, signed by the same team.
        nodes: Flower's node for each clinic, in the roster's order.
        run_id: 16 bytes; that of the run to carry on, or a new one.
        journal: what the run remembers; in memory unless given.
        watch: is told what happens.
        look: says whether an equal question was answered before; it is then not asked again.
        check: asked before anything is sent: clinics that may not be asked any more.

    Raises:
        CairnError: the study cannot be run: an unknown question, an unsafe policy, sums too large.
    """

    def __init__(
        self,
        signed: SignedStudy,
        roster: SignedRoster,
        nodes: Sequence[int],
        *,
        run_id: bytes | None = None,
        journal: Journal | None = None,
        deadlines: Deadlines | None = None,
        watch: Watch = ignore,
        look: Look = nothing_known,
        check: Check = dict,
    ) -> None:
        self.study = signed.study()
        self.run_id = run_id or secrets.token_bytes(RUN_BYTES)
        self.answers: list[Answer] = []  # as they may be shown: under letters where blinded
        self.named: list[Answer] = []  # the same under the arms' names
        self.questions = [build(spec, self.study) for spec in self.study.questions]
        self._journal = journal or MemoryJournal()
        self.letters = self._journal.letters(lambda: draw_letters(self.study, self.questions))
        self._blinded = {q.name: blinded(q, self.letters) for q in self.questions if self.letters}
        clinics = len(roster.roster.entries)
        self.terms = {
            q.name: QuestionTerms.of(self.study, q.spec, q.shape, clinics) for q in self.questions
        }
        self.rounds_done = {q.name: 0 for q in self.questions}  # sums that were opened
        self.stopped = ""
        self._roster = roster.roster
        self._watch = watch
        self.known: dict[str, Known] = {}  # questions that were answered by an earlier run
        self._look = look
        self._released: dict[str, NDArray[Any]] = {}
        self.conversation = Conversation(
            self.run_id,
            signed,
            roster,
            nodes,
            journal=self._journal,
            retries=self.study.privacy.retries,
            deadlines=deadlines or Deadlines(),
            watch=watch,
            check=check,
        )

    @property
    def clinics(self) -> tuple[RosterEntry, ...]:
        """Who takes part, in the roster's order."""
        return self._roster.entries

    def attempts(self, question: str) -> int:
        """Attempts at a question's rounds: what the clinics may have charged for it."""
        return self._journal.attempts(question)

    def clinics_in(self, question: str) -> list[tuple[int, ...]]:
        """Indices of the clinics in each opened sum of a question, by round."""
        if (known := self.known.get(question)) is not None:
            return [known.clinics]
        return self.conversation.clinics_in(question)

    def incidents(self) -> list[Incident]:
        """Clinics that left the run or gave wrong shares."""
        return self._journal.incidents()

    def execute(self, exchange: Exchange) -> None:
        """Set up keys, ask every question, close.

        Raises:
            Unavailable: the journal is away; the run is not over.
            StudyStopped: too few clinics answered. `answers` holds what was answered before;
                `stopped` says why.
        """
        try:
            for question in self.questions:
                answer, shown = self._ask(exchange, question)
                self.named.append(answer)
                self.answers.append(shown)
                for name, array in answer.released.items():
                    self._released[f"{question.name}/{name}"] = array
                self._watch(Event("answered", question.name, text=_first(shown)))
            self.conversation.close(exchange)
        except Unavailable:
            raise  # the run goes on when its journal is back
        except CairnError as error:
            self.stopped = str(error)
            self._watch(Event("stopped", text=error.what))
            raise

    def _ask(self, exchange: Exchange, question: Question[Any]) -> tuple[Answer, Answer]:
        """The answer, and the same as it may be shown."""
        rounds, terms = question.shape.rounds, self.terms[question.name]
        public: Public = question.start(self._released)
        total: Vector = np.zeros(question.shape.length)
        known = None if self._journal.attempts(question.name) else self._look(question)
        if known is not None:
            self.known[question.name] = known
            total = known.total.astype(np.float64) * terms.scale.step
            rounds = 0
            self._watch(Event("known", question.name, text=f"answered on {known.opened}"))
        for round_ in range(rounds):
            state = state_bytes(public)

            def context(attempt: int, round_: int = round_, state: bytes = state) -> Context:
                return terms.context(self._roster.digest, round_, attempt, state)

            asked = Sum(question.category, question.name, round_, state, context)
            steps = self.conversation.total(exchange, asked)
            total = steps.astype(np.float64) * terms.scale.step
            public = question.advance(public, total, round_)
            self.rounds_done[question.name] = round_ + 1
            self._watch(Event("round", question.name, round_ + 1, rounds))
        clinics = len(self.clinics_in(question.name)[-1])  # in the last sum: the one that is read
        noise = SumNoise(terms.noise_sd(clinics))
        answer = question.estimate(public, total, noise)
        hidden = self._blinded.get(question.name)
        return answer, hidden.estimate(public, total, noise) if hidden else answer


def _first(answer: Answer) -> str:
    return answer.sentences[0] if answer.sentences else answer.title
