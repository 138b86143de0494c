"""`Conversation`: the messages of one run, with all clinics, until each sum is open.

It sets up keys, asks a round, and after a failure that may pass (a clinic that is away or was
restarted, a round that the server lost) sets up keys anew and asks again, as often as the study's
`privacy.retries` allows: each attempt is a new charge at the clinics. Anything else stops the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from cairn_protocol.context import Context
from cairn_protocol.errors import CairnError, StudyStopped
from cairn_protocol.messages import Refusal, decode
from cairn_protocol.record import Message
from cairn_protocol.roster import SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_server.events import Event, Watch
from cairn_server.journal import Journal, Total

Replies = dict[int, bytes]
PASSING: Final = frozenset({"peer.run-unknown", "peer.out-of-order", "policy.attempt-repeated"})
"""Refusals that a new set-up and a new attempt can mend: the clinic's service was restarted."""


class Exchange(Protocol):
    """Sends one request to each node; returns the replies that came within `seconds`."""

    def __call__(self, stage: str, requests: Mapping[int, bytes], seconds: float) -> Replies: ...


@dataclass(frozen=True)
class Deadlines:
    """Seconds. `patience`: how long to wait, in all, for clinics to come before keys are agreed;
    `pause`: between two tries."""

    set_up: float = 60.0
    round: float = 600.0
    close: float = 10.0
    patience: float = 0.0
    pause: float = 2.0


@dataclass(frozen=True)
class Sum:
    """One sum to be asked. `context` gives that of an attempt, by its number."""

    stage: str
    question: str
    round_: int
    state: bytes
    context: Callable[[int], Context]


class _Trouble(Exception):
    """A failure that may pass."""

    def __init__(self, stopped: StudyStopped) -> None:
        super().__init__(stopped.what)
        self.stopped = stopped


class Conversation:
    """Talks to the clinics of one run; `total` gives one round's sum.

    Args:
        run: the run's id, 16 bytes.
        nodes: Flower's node for each clinic, in the roster's order.
        retries: attempts beyond the first that the study allows in all.
        check: called before anything is asked; raises `StudyStopped` where the run must end.
    """

    def __init__(
        self,
        run: bytes,
        signed: SignedStudy,
        roster: SignedRoster,
        nodes: Sequence[int],
        *,
        journal: Journal,
        retries: int,
        deadlines: Deadlines,
        watch: Watch,
        check: Callable[[], None],
    ) -> None:
        self.messages = 0
        self.bytes_moved = 0
        self._run, self._signed, self._roster = run, signed, roster
        self._nodes = list(nodes)
        self._journal = journal
        self._retries = retries
        self._deadlines = deadlines
        self._watch = watch
        self._check = check
        self._server: ServerRun | None = None

    def total(self, exchange: Exchange, asked: Sum) -> Total:
        """The opened sum, from the journal if it was opened before.

        Raises:
            StudyStopped: a clinic refused for good, or the retries are used up.
        """
        known = self._journal.total(asked.question, asked.round_)
        while known is None:
            self._check()
            server = self._server or self._set_up(exchange)
            if not self._may_ask(asked):
                self._out_of_retries()
            attempt = self._journal.next_attempt(asked.question, asked.round_)
            request = server.request(asked.context(attempt), asked.state)
            try:
                self._gather(exchange, server, asked.stage, request, self._deadlines.round)
            except _Trouble as trouble:
                self._server = None
                if not self._may_ask(asked):
                    raise trouble.stopped from None
                self._watch(Event("trouble", asked.question, text=f"{trouble}; asking again"))
                time.sleep(self._deadlines.pause)
                continue
            known = server.total()
            if server.record is not None:
                self._journal.opened(asked.question, asked.round_, known, server.record)
        return known

    def close(self, exchange: Exchange) -> None:
        """Tell the clinics to erase their keys. One that does not hear it does so by itself."""
        if self._server is not None:
            message = self._server.close("the study is complete")
            self._send(exchange, "query.close", message, self._deadlines.close)
            self._server = None

    def _set_up(self, exchange: Exchange) -> ServerRun:
        until = time.monotonic() + self._deadlines.patience
        while True:
            self._check()
            server, opening = ServerRun.open(
                self._run,
                self._signed,
                self._roster,
                setup=self._journal.next_setup(),
                record=self._journal.record(),
            )
            try:
                self._gather(exchange, server, "query.open", opening, self._deadlines.set_up)
                packages = server.packages()
                self._gather(exchange, server, "query.confirm", packages, self._deadlines.set_up)
            except _Trouble as trouble:
                if time.monotonic() >= until:
                    raise trouble.stopped from None
                self._watch(Event("trouble", text=f"{trouble}; waiting"))
                time.sleep(self._deadlines.pause)
                continue
            count = len(self._nodes)
            self._watch(Event("set-up", text=f"{count} clinics agreed on keys for this run"))
            self._server = server
            return server

    def _gather(
        self, exchange: Exchange, server: ServerRun, stage: str, message: Message, seconds: float
    ) -> None:
        replies = self._send(exchange, stage, message, seconds)
        for index, node in enumerate(self._nodes):
            if node not in replies:
                continue
            try:
                reply = decode(replies[node], server.reply_limit)
                if isinstance(reply, Refusal) and reply.code in PASSING:
                    raise _Trouble(self._stopped(index, reply.as_error()))
                server.receive(index, reply)
            except CairnError as error:
                raise self._stopped(index, error) from error
        if missing := [self._name(index) for index in server.missing]:
            raise _Trouble(
                StudyStopped(
                    f"no answer from {', '.join(missing)} within {seconds:g} seconds",
                    code="clinic-missing",
                    why="every clinic of this study must answer",
                    hint="what was charged so far stays charged; see that these clinics run",
                )
            )

    def _send(self, exchange: Exchange, stage: str, message: Message, seconds: float) -> Replies:
        body = message.to_bytes()
        replies = exchange(stage, dict.fromkeys(self._nodes, body), seconds)
        self.messages += len(self._nodes) + len(replies)
        self.bytes_moved += len(self._nodes) * len(body) + sum(map(len, replies.values()))
        return replies

    def _name(self, index: int) -> str:
        return self._roster.roster.entries[index].clinic

    def _stopped(self, index: int, error: CairnError) -> StudyStopped:
        return StudyStopped(
            f"{self._name(index)}: {error.what}",
            code="clinic-refused",
            why=error.why,
            hint=error.hint or "what was charged so far stays charged",
        )

    def _may_ask(self, asked: Sum) -> bool:
        used = self._journal.retries(asked.question, asked.round_)
        return used is None or used < self._retries

    def _out_of_retries(self) -> NoReturn:
        raise StudyStopped(
            "a round failed more often than the study allows",
            code="retries-used",
            why="each attempt is charged at the clinics, and privacy.retries bounds them",
            hint="a new study, with a new approval, can ask what is left",
        )
