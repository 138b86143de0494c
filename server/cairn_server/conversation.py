"""`Conversation`: the messages of one run, with all clinics, until each sum is open.

It agrees on keys, asks a round, names the survivors and opens their sum. Where a study recovers
from dropout, a clinic that does not answer in time costs nothing but its own data: two exchanges
a round, three if a clinic dropped out. It comes back by itself while its keys live; one that lost
them, or was not there when keys were agreed, is taken back by agreeing anew before the next round.

A round that cannot be opened is void. It is asked again under new keys, as often as the study's
`privacy.retries` allows: each attempt is a new charge at the clinics. A clinic that refuses leaves
the run; without enough clinics the run stops.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cairn_protocol.context import Context
from cairn_protocol.errors import PeerFault, StudyStopped
from cairn_protocol.messages import CloseRun, RoundRecord
from cairn_protocol.record import Message
from cairn_protocol.roster import SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_server import stops
from cairn_server.attendance import RETURNS, Attendance
from cairn_server.events import Watch
from cairn_server.exchange import Deadlines, Exchange
from cairn_server.gathering import RESTARTED, Fault, Gathering, Stage
from cairn_server.journal import Journal, Total
from cairn_server.stops import Trouble
from cairn_server.telling import Telling

Check = Callable[[], Mapping[int, StudyStopped]]
"""Clinics that may not be asked any more, by index, each with the reason; may raise instead."""

CLOSING: Final = "the study is complete"
STALLS: Final = 2  # times that a clinic may offer keys without confirming, in one set-up


@dataclass(frozen=True)
class Sum:
    """One sum to be asked. `context` gives that of an attempt, by its number."""

    category: str
    question: str
    round_: int
    state: bytes
    context: Callable[[int], Context]


class Conversation:
    """Talks to the clinics of one run; `total` gives one round's sum.

    Args:
        run: the run's id, 16 bytes.
        nodes: Flower's node for each clinic, in the roster's order.
        retries: attempts beyond the first that the study allows in all.
        check: asked before anything is sent.
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
        check: Check,
    ) -> None:
        self.records: list[RoundRecord] = journal.records()
        self._seen = journal.marks()
        self._run, self._signed, self._roster = run, signed, roster
        self._policy = signed.study().policy
        self._names = [entry.clinic for entry in roster.roster.entries]
        self._journal, self._retries = journal, retries
        self._deadlines, self._check = deadlines, check
        self._telling = Telling(self._names, watch, journal)
        gone = {incident.clinic for incident in journal.incidents() if incident.kind == "left"}
        left = [index for index, name in enumerate(self._names) if name in gone]
        self._attendance = Attendance(len(self._names), left)
        self._gathering = Gathering(nodes, deadlines, self._attendance)
        self._server: ServerRun | None = None
        self._setup: int | None = None  # number of a set-up that was announced, not yet made
        self._muster_until: float | None = 0.0 if self.records else None
        self._probed = float("-inf")
        self._last: StudyStopped | None = None  # why a clinic left

    @property
    def messages(self) -> int:
        """Messages sent and received."""
        return self._gathering.messages

    @property
    def bytes_moved(self) -> int:
        """Bytes of all of them."""
        return self._gathering.bytes_moved

    def clinics_in(self, question: str) -> list[tuple[int, ...]]:
        """Indices of the clinics in each opened sum of a question, by round."""
        return [r.survivors for r in self.records if r.header.question == question]

    def total(self, exchange: Exchange, asked: Sum) -> Total:
        """The opened sum, from the journal if it was opened before.

        Raises:
            StudyStopped: too few clinics are left, or the retries are used up.
        """
        while (known := self._journal.total(asked.question, asked.round_)) is None:
            server = self._ready(exchange)
            if not self._may_ask(asked):
                raise stops.out_of_retries()
            try:
                self._round(exchange, server, asked)
            except Trouble as trouble:
                self._server = None
                self._check_clinics()
                if not self._may_ask(asked):
                    raise trouble.stopped from None
                self._telling.trouble(f"{trouble}; asking again", asked.question)
                time.sleep(self._deadlines.pause)
        return known

    def close(self, exchange: Exchange) -> None:
        """Tell the clinics to erase their keys. One that does not hear it does so by itself."""
        if self._server is None:
            return
        present = self._server.close(CLOSING)
        away = [i for i in self._attendance.asked if i not in present]
        beside = dict.fromkeys(away, CloseRun(self._run, CLOSING))
        stage = Stage("query.close", present, self._deadlines.close, beside=beside)
        self._gathering.send(exchange, stage)
        self._server = None

    def _may_ask(self, asked: Sum) -> bool:
        used = self._journal.retries(asked.question, asked.round_)
        return used is None or used < self._retries

    def _ready(self, exchange: Exchange) -> ServerRun:
        self._check_clinics()
        server = self._server
        if server is None or self._attendance.keys_due(server.participants):
            self._server = server = self._set_up(exchange)
        return server

    # Keys.

    def _set_up(self, exchange: Exchange) -> ServerRun:
        until = time.monotonic() + self._deadlines.patience
        stalled: Counter[int] = Counter()
        while True:
            self._check_clinics()
            before = len(self._attendance.asked), stalled.total()
            try:
                server = self._agree(exchange, stalled)
            except Trouble as trouble:
                if before != (len(self._attendance.asked), stalled.total()):
                    continue  # without whoever it was; each clinic can do so twice
                if time.monotonic() >= until:
                    raise trouble.stopped from None
                self._telling.waiting(f"{trouble}; waiting")
                time.sleep(self._deadlines.pause)
                continue
            self._attendance.agreed(server.participants)
            self._telling.agreed(server.participants)
            return server

    def _agree(self, exchange: Exchange, stalled: Counter[int]) -> ServerRun:
        server, opening = ServerRun.open(
            self._run,
            self._signed,
            self._roster,
            setup=self._number(),
            records=self.records,
            seen=self._seen,
        )
        self._setup = None
        asked = [i for i in self._attendance.asked if stalled[i] < STALLS]
        if len(asked) < self._policy.survivors:
            asked = list(self._attendance.asked)
        seconds = self._deadlines.set_up
        self._gather(exchange, server, Stage("query.open", dict.fromkeys(asked, opening), seconds))
        self._muster([i for i in server.missing if i in asked and i in self._attendance.asked])
        packages = server.packages()
        each = dict.fromkeys(server.participants, packages)
        try:
            self._gather(exchange, server, Stage("query.confirm", each, seconds))
        except Trouble:
            if self._policy.recovers:
                self._stall([i for i in server.missing if stalled[i] < STALLS], stalled)
            raise
        return server

    def _stall(self, clinics: Sequence[int], stalled: Counter[int]) -> None:
        stalled.update(clinics)
        for clinic in clinics:
            self._attendance.stalled(clinic)

    def _number(self) -> int:
        """The next set-up's number: one that dropped-out clinics were told of, or a new one."""
        if self._setup is None:
            self._setup = self._journal.next_setup()
        return self._setup

    def _muster(self, missing: Sequence[int]) -> None:
        """The first set-up waits for clinics that the run could begin without."""
        if self._muster_until is None:
            self._muster_until = time.monotonic() + self._deadlines.muster
        if missing and time.monotonic() < self._muster_until:
            names = ", ".join(self._names[i] for i in missing)
            minutes = f"{self._deadlines.muster / 60:.0f} minutes"
            what = f"no answer from {names} yet; after {minutes} the run begins without"
            raise Trouble(StudyStopped(what, code="clinic-missing"))

    # One round.

    def _round(self, exchange: Exchange, server: ServerRun, asked: Sum) -> None:
        attempt = self._journal.next_attempt(asked.question, asked.round_)
        requests = server.request(asked.context(attempt), asked.state)
        seconds, kind = self._deadlines.round, asked.category
        stage = Stage(f"{kind}.round", requests, seconds, beside=self._probes(server))
        self._gather(exchange, server, stage)
        if named := server.survivors():
            self._gather(exchange, server, Stage(f"{kind}.survivors", named, seconds))
            if certified := server.certificate():
                self._gather(exchange, server, Stage(f"{kind}.certify", certified, seconds))
        try:
            total = server.total()
        except PeerFault as fault:
            raise Trouble(StudyStopped(fault.what, code="shares-wrong", why=fault.why)) from None
        finally:
            self._telling.blamed(server.blamed, asked.question, asked.round_)
            self._telling.disputed(server.disputed, asked.question, asked.round_)
            for clinic in server.blamed:  # it would void every attempt, each of them charged
                what = f"{self._names[clinic]}: its shares were not as it promised"
                self._leave(clinic, StudyStopped(what, code="shares-wrong"))
        record = server.records[-1]
        self._journal.opened(asked.question, asked.round_, total, record)
        self.records.append(record)
        self._attendance.counted(server.participants, record.survivors)
        self._telling.opened(asked.question, asked.round_, record.survivors)

    def _probes(self, server: ServerRun) -> Mapping[int, Message]:
        """The next set-up's opening, for clinics that have no keys in this one."""
        away = set(self._attendance.asked) - set(server.participants)
        if not away or time.monotonic() < self._probed + self._deadlines.probe:
            return {}
        self._probed = time.monotonic()
        _, opening = ServerRun.open(self._run, self._signed, self._roster, setup=self._number())
        return dict.fromkeys(sorted(away), opening)

    # Replies, and clinics that give none.

    def _gather(self, exchange: Exchange, server: ServerRun, stage: Stage) -> None:
        heard = self._gathering.gather(exchange, server, stage)
        for clinic in heard.back:
            self._came_back(clinic)
        for clinic, fault in heard.faults.items():
            self._faulty(clinic, fault, asked=clinic in stage.messages)
        missing = [i for i in server.missing if i in stage.messages]
        if server.enough:
            return
        if not self._policy.recovers:
            for clinic in (i for i in missing if i in heard.faults):
                raise Trouble(stops.refusal(self._names[clinic], heard.faults[clinic].error))
        why = self._why(server, stage)
        raise Trouble(stops.missing(self._names, missing, heard.faults, stage.seconds, why))

    def _why(self, server: ServerRun, stage: Stage) -> str:
        if not self._policy.recovers:
            return "every clinic of this study must answer"
        if stage.name == "query.confirm":
            return "whoever offers keys must confirm those of the others"
        if stage.name.endswith(".certify"):
            return "while the loss of a clinic is made good, all others must answer"
        return f"the study needs {server.fewest} of its {len(self._names)} clinics"

    def _faulty(self, clinic: int, fault: Fault, *, asked: bool) -> None:
        if not fault.passing:
            self._leave(clinic, stops.refusal(self._names[clinic], fault.error))
        elif self._policy.recovers and asked and fault.code in RESTARTED:
            self._came_back(clinic)

    def _came_back(self, clinic: int) -> None:
        if not self._attendance.returned(clinic):
            what = f"{self._names[clinic]}: it lost its keys more than {RETURNS} times"
            self._leave(clinic, StudyStopped(what, code="clinic-restarting"))

    def _leave(self, clinic: int, stopped: StudyStopped) -> None:
        """The run goes on without a clinic, if the study allows it."""
        if not self._policy.recovers:
            raise stopped
        if self._attendance.leave(clinic):
            self._last = stopped
            self._telling.left(clinic, stopped.what, len(self._attendance.asked))

    def _check_clinics(self) -> None:
        """Stops the run where it may not go on.

        Raises:
            StudyStopped: too few clinics are left, or one is revoked that must answer.
        """
        for clinic, reason in self._check().items():
            self._leave(clinic, reason)
        count, needed = len(self._attendance.asked), self._policy.survivors
        if self._policy.recovers and count < needed:
            raise stops.too_few(self._last, count, len(self._names), needed)
