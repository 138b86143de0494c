"""`StudyRun`: a signed study from set-up to its last answer, over any way to exchange messages.

It knows nothing of Flower: an `Exchange` sends one request to each node and brings the replies.
It never holds a clinic's vector in clear: uploads are masked, and `ServerRun` opens their sum only.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Public, Question, SumNoise, Vector
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.context import state_bytes
from cairn_protocol.errors import CairnError, StudyStopped
from cairn_protocol.messages import decode
from cairn_protocol.record import Message
from cairn_protocol.roster import RosterEntry, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_server.events import Event, Watch, ignore

Replies = dict[int, bytes]
SET_UP_SECONDS: Final = 60.0
ROUND_SECONDS: Final = 600.0
CLOSE_SECONDS: Final = 10.0


class Exchange(Protocol):
    """Sends one request to each node; returns the replies that came within `seconds`."""

    def __call__(self, stage: str, requests: Mapping[int, bytes], seconds: float) -> Replies: ...


class StudyRun:
    """One run of a study. `execute` fills `answers` and `terms`, in the study's order.

    Args:
        signed: the study as its team signed it.
        roster: who takes part, signed by the same team.
        nodes: Flower's node for each clinic, in the roster's order.
        watch: is told what happens.

    Raises:
        CairnError: the study cannot be run: an unknown question, an unsafe policy, sums too large.
    """

    def __init__(
        self,
        signed: SignedStudy,
        roster: SignedRoster,
        nodes: Sequence[int],
        *,
        watch: Watch = ignore,
    ) -> None:
        self.study = signed.study()
        self.run_id = secrets.token_bytes(16)
        self.answers: list[Answer] = []
        self.questions = [build(spec, self.study) for spec in self.study.questions]
        clinics = len(roster.roster.entries)
        self.terms = {
            q.name: QuestionTerms.of(self.study, q.spec, q.shape, clinics) for q in self.questions
        }
        self.rounds_done = {q.name: 0 for q in self.questions}  # sums that were opened
        self.rounds_asked = dict(self.rounds_done)  # and that the clinics may have charged
        self.stopped = ""
        self.messages = 0
        self.bytes_moved = 0
        self._roster = roster.roster
        self._nodes = list(nodes)
        self._watch = watch
        self._released: dict[str, NDArray[Any]] = {}
        self._server, self._opening = ServerRun.open(self.run_id, signed, roster)

    @property
    def clinics(self) -> tuple[RosterEntry, ...]:
        """Who takes part, in the roster's order."""
        return self._roster.entries

    def execute(self, exchange: Exchange) -> None:
        """Set up keys, ask every question, close.

        Raises:
            StudyStopped: a clinic refused or did not answer. `answers` holds what was answered
                before; `stopped` says why.
        """
        try:
            self._set_up(exchange)
            for question in self.questions:
                answer = self._ask(exchange, question)
                self.answers.append(answer)
                for name, array in answer.released.items():
                    self._released[f"{question.name}/{name}"] = array
                self._watch(Event("answered", question.name, text=_first(answer)))
            self._close(exchange)
        except CairnError as error:
            self.stopped = str(error)
            self._watch(Event("stopped", text=error.what))
            raise

    def _set_up(self, exchange: Exchange) -> None:
        self._gather(exchange, "query.open", self._opening, SET_UP_SECONDS)
        self._gather(exchange, "query.confirm", self._server.packages(), SET_UP_SECONDS)
        count = len(self._nodes)
        self._watch(Event("set-up", text=f"{count} clinics agreed on keys for this run"))

    def _close(self, exchange: Exchange) -> None:
        # The answers are complete: a clinic that does not hear this erases its keys at its own end.
        message = self._server.close("the study is complete")
        self._send(exchange, "query.close", message, CLOSE_SECONDS)

    def _ask(self, exchange: Exchange, question: Question[Any]) -> Answer:
        rounds, terms = question.shape.rounds, self.terms[question.name]
        public: Public = question.start(self._released)
        total: Vector = np.zeros(question.shape.length)
        for round_ in range(rounds):
            state = state_bytes(public)
            context = terms.context(self._roster.digest, round_, 0, state)
            request = self._server.request(context, state)
            self.rounds_asked[question.name] = round_ + 1
            self._gather(exchange, f"{question.category}.round", request, ROUND_SECONDS)
            total = self._server.total().astype(np.float64) * terms.scale.step
            public = question.advance(public, total, round_)
            self.rounds_done[question.name] = round_ + 1
            self._watch(Event("round", question.name, round_ + 1, rounds))
        return question.estimate(public, total, SumNoise(terms.sum_sd))

    def _gather(self, exchange: Exchange, stage: str, message: Message, seconds: float) -> None:
        replies = self._send(exchange, stage, message, seconds)
        for index, node in enumerate(self._nodes):
            if node not in replies:
                continue
            try:
                self._server.receive(index, decode(replies[node], self._server.reply_limit))
            except CairnError as error:
                self._stop(f"{self._name(index)}: {error.what}", error)
        if missing := [self._name(index) for index in self._server.missing]:
            self._stop(f"no answer from {', '.join(missing)} within {seconds:g} seconds")

    def _send(self, exchange: Exchange, stage: str, message: Message, seconds: float) -> Replies:
        body = message.to_bytes()
        replies = exchange(stage, dict.fromkeys(self._nodes, body), seconds)
        self.messages += len(self._nodes) + len(replies)
        self.bytes_moved += len(self._nodes) * len(body) + sum(map(len, replies.values()))
        return replies

    def _name(self, index: int) -> str:
        return self._roster.entries[index].clinic

    def _stop(self, what: str, error: CairnError | None = None) -> NoReturn:
        raise StudyStopped(
            what,
            code="clinic-refused" if error else "clinic-missing",
            why=error.why if error else "every clinic of this study must answer",
            hint=(error.hint if error else "") or "what was charged so far stays charged",
        ) from error


def _first(answer: Answer) -> str:
    return answer.sentences[0] if answer.sentences else answer.title
