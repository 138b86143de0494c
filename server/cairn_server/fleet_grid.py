"""`FleetGrid`: Flower's Grid over the fleet's own state, in the server's process.

An id that it gives out stands for a question to a node, not for one message on the wire: a node
that comes back is asked again under a new wire id, and so is one in whose place Flower spoke: only
the node's own words, its revocation and the deadline end a question. Deadlines are the caller's, as
message TTLs by the monotonic clock; a node that is offline is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from cairn_protocol.errors import OurFault
from cairn_server.flower_private import Arrived, Ask, FlowerState, Lost, Run, answer

MOST_PENDING: Final = 1024  # questions that wait for an answer, in one grid
WAIT: Final = 0.1  # seconds that a pull waits for a first reply
LOOK_EVERY: Final = 1.0  # seconds, even if nothing was heard: a node may have been revoked
GRACE: Final = 5.0  # seconds after its deadline that a question may still be pulled


class Ear:
    """Tells grids that some node has just sent something."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heard = 0

    def hear(self) -> None:
        """Wake every `wait`."""
        with self._changed:
            self._heard += 1
            self._changed.notify_all()

    @property
    def heard(self) -> int:
        """How often something was heard."""
        return self._heard

    def wait(self, since: int, seconds: float) -> None:
        """Return when `heard` is no longer `since`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._heard != since, seconds)


@dataclass
class Question:
    """What a node was asked and nobody has pulled the answer of."""

    ask: Ask
    expires: float  # by the monotonic clock
    wire_id: str | None = None  # None: not laid before the node yet
    arrived: Arrived | None = None  # its reply, perhaps in part
    done: bool = False
    result: RecordDict | None = None  # when done: the reply's content, None if there is none

    def finish(self, result: RecordDict | None = None) -> None:
        """Nothing more is waited for."""
        self.done, self.result = True, result


class FleetGrid(Grid):
    """A Grid whose nodes are links behind a fleet endpoint.

    Args:
        state: the fleet's.
        name: of the run that it makes.
        ring: called with a node that has something to pull.
        ear: hears when nodes send.
        most: bytes of one reply.
    """

    def __init__(
        self, state: FlowerState, name: str, ring: Callable[[int], None], ear: Ear, most: int
    ) -> None:
        self._state, self._name, self._run_id = state, name, state.open_run(name)
        self._ring, self._ear, self._most = ring, ear, most
        self._questions: dict[str, Question] = {}
        self._lock = threading.RLock()
        self._heard = -1
        self._collected = float("-inf")  # by the monotonic clock

    @property
    def run(self) -> Run:
        """Facts of the run."""
        return self._state.run(self._run_id)

    def set_run(self, run: Run) -> None:
        """Use `run`, which must be of this fleet, from now on."""
        self._run_id = self._state.run(run.run_id).run_id

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes that were asked something."""
        return sorted({question.ask.node for question in self._questions.values()})

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Ask; one id a message, in order. A node that is not enrolled answers with an error.

        Raises:
            OurFault: more than `MOST_PENDING` questions would wait.
        """
        asked: dict[str, Question] = {}
        with self._lock:
            self.keep_alive()
            self._drop_expired()
            for message in messages:
                if len(self._questions) >= MOST_PENDING:
                    raise OurFault("too many questions wait for answers", code="fleet-pending")
                facts = message.metadata
                ask = Ask(facts.dst_node_id, message.content, facts.message_type, facts.group_id)
                question = Question(ask, time.monotonic() + facts.ttl)
                identifier = uuid4().hex
                self._ask(question)
                asked[identifier] = self._questions[identifier] = question
        for question in asked.values():
            self._ring(question.ask.node)
        return list(asked)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies to these ids that are whole; each once. Waits up to `WAIT` for the first."""
        wanted = set(message_ids)
        end = time.monotonic() + WAIT
        while True:
            heard = self._ear.heard
            replies = self._take(wanted, heard)
            left = end - time.monotonic()
            if replies or left <= 0:
                return replies
            self._ear.wait(heard, left)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push, wait for every reply (at most `timeout` seconds together), return them."""
        waiting = set(self.push_messages(messages))
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        replies: list[Message] = []
        while waiting and time.monotonic() < end:
            found = list(self.pull_messages(waiting))
            waiting -= {reply.metadata.reply_to_message_id for reply in found}
            replies += found
        return replies

    def withdraw(self, message_ids: Iterable[str]) -> None:
        """Take questions back: a node that has not fetched one will not see it."""
        with self._lock:
            for identifier in message_ids:
                if identifier in self._questions:
                    self._drop(identifier)

    def ask_again(self, node: int) -> None:
        """Put before `node`, under new wire ids, what it has not answered whole."""
        with self._lock:
            self._collect()
            for question in self._questions.values():
                if question.ask.node == node and not question.done:
                    self._ask(question)

    def keep_alive(self) -> None:
        """Keep Flower from ending the run; if it did (the machine slept), ask all in a new one."""
        with self._lock:
            if self._state.beat(self._run_id):
                return
            self._state.clear(self._run_id)
            self._run_id = self._state.open_run(self._name)
            for question in self._questions.values():
                if not question.done:
                    self._ask_anew(question)

    def close(self) -> None:
        """End the run; nothing of it stays on the wire."""
        with self._lock:
            for question in self._questions.values():
                self._withdraw(question)
            self._questions.clear()
            self._state.finish(self._run_id)

    def _ask(self, question: Question) -> None:
        """Lay it before its node, in place of what lies there."""
        self._withdraw(question)
        left = question.expires - time.monotonic()
        if left > 0:
            question.wire_id = self._state.put(self._run_id, question.ask, left)
        # That an enrolled node's was not taken is Flower's doing (the run has just ended).
        if question.wire_id is None and (left <= 0 or not self._state.enrolled(question.ask.node)):
            question.finish()

    def _ask_anew(self, question: Question) -> None:
        self._ask(question)
        self._ring(question.ask.node)

    def _withdraw(self, question: Question) -> None:
        if question.wire_id is not None:
            self._state.forget([question.wire_id])
        question.wire_id = question.arrived = None

    def _take(self, wanted: set[str], heard: int) -> list[Message]:
        """Whole replies to `wanted`, which are questions no more."""
        with self._lock:
            if heard != self._heard or time.monotonic() > self._collected + LOOK_EVERY:
                self._heard = heard
                self._collect()
            taken = []
            for identifier in wanted & self._questions.keys():
                question = self._questions[identifier]
                if not question.done and time.monotonic() >= question.expires:
                    question.finish()
                if question.done:
                    taken.append(answer(self._run_id, identifier, question.ask, question.result))
                    self._drop(identifier)
            return taken

    def _collect(self) -> None:
        """See what came: claim new replies, finish those whose last part has come."""
        self._collected = time.monotonic()
        self.keep_alive()  # Flower says of an ended run's questions that none of them is answered
        for question in self._questions.values():
            if question.wire_id is None and not question.done:
                self._ask_anew(question)
        waiting = {
            question.wire_id: question
            for question in self._questions.values()
            if question.wire_id is not None and not question.done
        }
        new = [wire_id for wire_id, question in waiting.items() if question.arrived is None]
        for arrived in self._state.collect(self._run_id, new):
            waiting[arrived.wire_id].arrived = arrived
        for question in waiting.values():
            if question.arrived is not None:
                self._read(question, question.arrived)

    def _read(self, question: Question, arrived: Arrived) -> None:
        if arrived.lost:
            return self._ask_anew(question)
        if arrived.tree is None:
            return question.finish()
        try:
            content = self._state.content(self._run_id, arrived.tree, self._most)
        except Lost:
            return self._ask_anew(question)
        except ValueError:
            return question.finish()
        if content is not None:
            question.finish(content)
        return None

    def _drop_expired(self) -> None:
        """Forget questions whose asker gave up."""
        for identifier, question in list(self._questions.items()):
            if time.monotonic() >= question.expires + GRACE:
                self._drop(identifier)

    def _drop(self, identifier: str) -> None:
        self._withdraw(self._questions.pop(identifier))
        if not self._questions:
            self._state.clear(self._run_id)  # parts of replies that nobody waited for
