"""`LinkDaemon`: a clinic's link as a process: it carries requests to the keeper and replies back.

N1  Outbound only. One server, one certificate authority, one node key: those in link/.
N2  It holds transport keys and nothing else, understands no message, and runs nothing that a
    server sends: of a Flower message it takes the body for the keeper's link.sock.
N3  Messages are handled one at a time. A reply that could not be delivered is asked for again:
    after any failed call (but a heartbeat that the next makes good) the node activates itself
    anew, and the server repeats what it still waits for. The keeper gives the same bytes to the
    same request.
N4  No storm: every wait after a failure is longer than the one before, up to a cap, and random
    by half, until a reply was taken or there was nothing to do; what only a person can mend is
    tried more seldom.
N5  What is wrong is logged once, when it begins, changes or ends, and stands in link.json.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx

from cairn_client.flower_private import NOT_TAKEN, Asked, Fleet
from cairn_client.keeper_client import KeeperClient
from cairn_client.link_home import LinkHome
from cairn_client.link_report import LinkReport
from cairn_client.link_stages import KNOWN
from cairn_client.link_trouble import Trouble, trouble_of
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError, InputError, PeerFault
from cairn_protocol.messages import Refusal

log = logging.getLogger("cairn.link")

FAST: Final = 0.05  # seconds between pulls while there is work
IDLE: Final = 2.0  # and the most when there is none
HELD: Final = 0.5  # a pull that took this long was held open by the server: no need to wait more
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 60.0
PATIENT_WAIT: Final = 300.0  # where trying again is of no use before somebody acts
BEAT_SECONDS: Final = 25.0
REMIND_SECONDS: Final = 600.0  # how often a trouble that goes on is logged again


class Carrier(Protocol):
    """What the daemon needs of a connection to the server; `Fleet` is it."""

    def activate(self) -> int: ...
    def beat(self) -> None: ...
    def pull(self) -> Asked | None: ...
    def push(self, asked: Asked, reply: bytes) -> None: ...
    def close(self) -> None: ...


@dataclass
class Backoff:
    """Waits that grow after each failure: seconds, with half of each at random."""

    wait: float = FIRST_WAIT

    def next(self, *, patient: bool) -> float:
        """The next wait. Where only a person can help it begins later and grows further."""
        longest = PATIENT_WAIT if patient else LONGEST_WAIT
        wait = min(max(self.wait, 5.0 if patient else 0.0), longest)
        self.wait = min(2 * wait, longest)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 — only spreads clinics in time

    def reset(self) -> None:
        """After a success."""
        self.wait = FIRST_WAIT


class LinkDaemon:
    """The link of the clinic in `clinic`; `run` returns after `stop` is set.

    Raises:
        InputError: the clinic has not joined, or its link's files cannot be read.
    """

    def __init__(self, clinic: Path, stop: threading.Event | None = None) -> None:
        self._home = LinkHome.read(clinic / "link")
        self._server = urlsplit(self._home.fleet).netloc
        self._keeper = KeeperClient(Sockets(clinic).link)
        self._report = LinkReport(clinic, self._server)
        self.stop = threading.Event() if stop is None else stop
        self._trouble: Trouble | None = None
        self._told = 0.0

    def run(self) -> None:
        """Connect, carry, and connect again, until `stop` is set."""
        backoff = Backoff()
        self._report.write("connecting")
        while not self.stop.is_set():
            try:
                fleet = Fleet(self._home.fleet, self._home.authority, self._home.key)
            except (ValueError, OSError):
                raise InputError(
                    "the link's key or certificate authority cannot be used",
                    code="link-files-damaged",
                    hint="remove the folder link/ and join again with a new token",
                ) from None
            try:
                self._carry(fleet, backoff)
            except (CairnError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                self._note(trouble := trouble_of(error, self._server))
                self.stop.wait(backoff.next(patient=trouble.patient))
            finally:
                fleet.close()
        self._keeper.close()
        self._report.write("stopped")

    def _carry(self, fleet: Carrier, backoff: Backoff) -> None:
        node = fleet.activate()
        if not self.stop.is_set():
            log.info("connected to %s as node %d", self._server, node)
            self._clear()
        beats = _Beats(fleet)
        try:
            wait = FAST
            while not self.stop.is_set():
                began = time.monotonic()
                asked = fleet.pull()
                self._report.seen()
                beats.check()
                if asked is not None:
                    if (reply := self._ask(asked)) is None:
                        return
                    if self._push(fleet, asked, reply):
                        backoff.reset()
                    wait = FAST
                else:
                    backoff.reset()
                    held = time.monotonic() - began >= HELD
                    wait = FAST if held else min(2 * wait, IDLE)
                self.stop.wait(wait * random.uniform(0.75, 1.25))  # noqa: S311
        finally:
            beats.end()

    def _push(self, fleet: Carrier, asked: Asked, reply: bytes) -> bool:
        """Sends a reply; whether it was taken. One that came too late is nobody's fault."""
        try:
            fleet.push(asked, reply)
        except PeerFault as fault:
            if fault.code != f"{PeerFault.family}.{NOT_TAKEN}":
                raise
            log.info("a reply came too late: the server no longer waited for it")
            return False
        return True

    def _ask(self, asked: Asked) -> bytes | None:
        """The keeper's reply; None if the link is stopped before there is one."""
        if asked.kind not in KNOWN:
            fault = PeerFault(
                "a clinic's link carries no such message", code="message-type", why=asked.kind[:50]
            )
            log.warning("refused: %s", fault.code)
            return Refusal.of(fault).to_bytes()
        backoff = Backoff()
        deadline = time.monotonic() + max(asked.seconds_left, 1.0)
        while not self.stop.is_set():
            try:
                reply = self._keeper.forward(asked.body)
            except CairnError as error:
                self._note(Trouble(error.code, error.what, error.hint))
                if time.monotonic() > deadline:
                    return None
                self.stop.wait(backoff.next(patient=False))
            else:
                self._clear()
                return reply
        return None

    def _note(self, trouble: Trouble) -> None:
        now = time.monotonic()
        if self._trouble is None or self._trouble.code != trouble.code:
            log.warning("%s", trouble)
            self._told = now
        elif now - self._told > REMIND_SECONDS:
            log.warning("still: %s", trouble)
            self._told = now
        self._trouble = trouble
        self._report.write("trouble", trouble)

    def _clear(self) -> None:
        if self._trouble is not None:
            log.info("mended: %s", self._trouble.code)
            self._trouble = None
        self._report.write("connected")


class _Beats:
    """Heartbeats beside a keeper that computes; if the last one failed, the next turn shows it."""

    def __init__(self, fleet: Carrier) -> None:
        self._fleet = fleet
        self._end = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(BEAT_SECONDS * random.uniform(0.8, 1.0)):  # noqa: S311
            try:
                self._fleet.beat()
            except Exception as error:
                self._failed = error
            else:
                self._failed = None

    def check(self) -> None:
        """Raises what the last heartbeat met."""
        if (failed := self._failed) is not None:
            raise failed

    def end(self) -> None:
        """No more heartbeats."""
        self._end.set()
        self._thread.join(timeout=1.0)
