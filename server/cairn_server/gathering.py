"""`Gathering`: one message to each of some clinics, and their replies, taken in as they come.

It waits for every clinic that the run cannot go on without, as long as there is hope; once the
others are dispensable, no longer than each is worth (`Attendance`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cairn_protocol.errors import CairnError, PeerFault, PolicyRefusal
from cairn_protocol.messages import KeyPackage, Refusal, decode
from cairn_protocol.record import Message
from cairn_protocol.server_run import SMALL_REPLY, ServerRun
from cairn_server.attendance import Attendance
from cairn_server.exchange import Deadlines, Exchange, Replies, Until

BESIDE: Final = 0.5  # seconds for a clinic that dropped out to say that it is back
RESTARTED: Final = frozenset({"peer.run-unknown", "peer.out-of-order"})
PASSING: Final = RESTARTED | {"policy.attempt-repeated", "peer.peer-set-back"}
"""Refusals that a new set-up or a new attempt can mend, or that another clinic is the cause of: the
clinic's service was restarted, or it was shown a peer that was set back."""


@dataclass(frozen=True)
class Fault:
    """Why a clinic gave no answer that counts; `code` is its own where it refused."""

    code: str
    error: CairnError

    @property
    def passing(self) -> bool:
        """Whether it may answer another time."""
        return self.code in PASSING


@dataclass(frozen=True)
class Stage:
    """What is asked: Flower's message type, each clinic's message, and how long it may take.

    Args:
        beside: messages to clinics that nothing depends on; a key package is their only answer.
    """

    name: str
    messages: Mapping[int, Message]
    seconds: float
    beside: Mapping[int, Message] = field(default_factory=dict)


@dataclass
class Heard:
    """What came of a stage beyond the replies that the protocol took: faults, and who is back."""

    faults: dict[int, Fault] = field(default_factory=dict)
    back: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)


class Gathering:
    """Counts the messages and bytes of a run. `nodes`: Flower's, in the roster's order."""

    def __init__(self, nodes: Sequence[int], deadlines: Deadlines, attendance: Attendance) -> None:
        self.messages = 0
        self.bytes_moved = 0
        self._nodes = list(nodes)
        self._index = {node: index for index, node in enumerate(self._nodes)}
        self._deadlines = deadlines
        self._attendance = attendance

    def send(self, exchange: Exchange, stage: Stage) -> Replies:
        """The replies to a last word. Clinics beside are told, not waited for."""
        begun = time.monotonic()

        def until(replies: Replies) -> float:
            come = all(self._nodes[clinic] in replies for clinic in stage.messages)
            return begun if come else begun + stage.seconds

        return self._exchanged(exchange, stage, until)

    def gather(self, exchange: Exchange, server: ServerRun, stage: Stage) -> Heard:
        """Send the stage's messages; `server` has what came of it."""
        heard = Heard()
        begun, enough = time.monotonic(), 0.0

        def until(replies: Replies) -> float:
            nonlocal enough
            self._take(server, stage, replies, heard)
            waiting = [i for i in server.missing if i in stage.messages and i not in heard.faults]
            hopeless = len(server.asked) - len(server.missing) + len(waiting) < server.fewest
            if not waiting or hopeless:
                return self._beside(begun, stage, heard)
            if not server.enough:
                return begun + stage.seconds
            now = time.monotonic()
            enough = enough or now
            full = max(self._deadlines.grace, enough - begun)
            return enough + max(self._attendance.grace(i, full) for i in waiting)

        self._take(server, stage, self._exchanged(exchange, stage, until), heard)
        return heard

    def _beside(self, begun: float, stage: Stage, heard: Heard) -> float:
        """Until when a clinic that dropped out is waited for, when all others have answered."""
        silent = stage.beside.keys() - heard.back - heard.faults.keys()
        return begun + (BESIDE if silent else 0.0)

    def _exchanged(self, exchange: Exchange, stage: Stage, until: Until) -> Replies:
        bodies: dict[int, bytes] = {}
        made: dict[int, bytes] = {}  # one message to all is made into bytes once
        for clinic, message in {**stage.beside, **stage.messages}.items():
            if id(message) not in made:
                made[id(message)] = message.to_bytes()
            bodies[self._nodes[clinic]] = made[id(message)]
        replies = exchange(stage.name, bodies, stage.seconds, until)
        self.messages += len(bodies) + len(replies)
        self.bytes_moved += sum(map(len, bodies.values())) + sum(map(len, replies.values()))
        return replies

    def _take(self, server: ServerRun, stage: Stage, replies: Replies, heard: Heard) -> None:
        for node in [node for node in replies if node not in heard.seen]:
            heard.seen.add(node)
            clinic = self._index[node]
            try:
                if clinic in stage.messages:
                    self._one(server, clinic, replies[node], heard)
                elif isinstance(reply := decode(replies[node], SMALL_REPLY), KeyPackage):
                    heard.back.add(clinic)
                elif isinstance(reply, Refusal):
                    heard.faults[clinic] = Fault(reply.code, reply.as_error())
            except (PeerFault, PolicyRefusal) as error:
                heard.faults[clinic] = Fault(error.code, error)

    def _one(self, server: ServerRun, clinic: int, body: bytes, heard: Heard) -> None:
        reply = decode(body, server.reply_limit)
        if isinstance(reply, Refusal):
            heard.faults[clinic] = Fault(reply.code, reply.as_error())
        else:
            server.receive(clinic, reply)
