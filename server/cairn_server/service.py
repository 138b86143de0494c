"""`Service`: the research team's running server. It carries studies from offered to finished.

One process: the registry (enrolment), the fleet endpoint (Flower's router) and this loop over the
store. Commands write to the store from other processes; the loop sees it within `TICK` seconds:

    offered    put the study before each clinic that has not decided, and keep what it says
    starting   begin a run
    running    (after a restart) carry the run on from its journal

Beside them, what was released goes back to the clinics (`cairn_server.returning`), and their audit
logs are countersigned (`cairn_server.countersigning`).

One run at a time. What a run opens is in the store before the next round is asked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cairn_protocol.errors import CairnError
from cairn_server.coordinator import GridExchange
from cairn_server.countersigning import Countersigning
from cairn_server.exchange import Deadlines
from cairn_server.fleet import FleetEndpoint
from cairn_server.home import ServerHome
from cairn_server.offering import Offering
from cairn_server.registry import Registry
from cairn_server.returned import FOLDER as RETURNED
from cairn_server.returning import Returning
from cairn_server.running import Running
from cairn_server.store import Store

log = logging.getLogger("cairn.server")
TICK: Final = 1.0  # seconds between looks at the store
OFFERS: Final = "offers"  # the run of Flower that carries offers
RETURNS: Final = "returns"  # and the one that carries findings
AUDITS: Final = "audits"  # and heads of audit logs


class Service:
    """A context manager: registry and fleet answer while it is entered; `serve` is the loop.

    Args:
        home: the server's folder.
        deadlines: of a run's stages; those of server.toml unless given.
        out: where each study's results go, in a folder of its own.

    Raises:
        InputError: a port that is taken, a certificate that expired, a home that is damaged.
    """

    def __init__(
        self, home: ServerHome, *, deadlines: Deadlines | None = None, out: Path | None = None
    ) -> None:
        config = home.config
        self.store: Store = home.store()
        self.fleet = FleetEndpoint(
            home.flower_database, config.fleet.listen, config.fleet.port, home.certificate, home.key
        )
        self.registry = Registry(
            home,
            self.store,
            enrol_node=self.fleet.enrol,
            revoke_node=self.fleet.revoke,
            last_seen=self.fleet.last_seen,
        )
        self._stop = threading.Event()
        self._jobs: dict[str, threading.Thread] = {}
        self._warned: dict[str, str] = {}  # what each part of this was last in want of
        self._running = Running(
            self.store,
            self.fleet,
            deadlines or config.waiting.deadlines,
            out or home.path / "results",
        )
        self._offering = Offering(
            self.store,
            lambda: GridExchange(self.fleet.grid(OFFERS), OFFERS),
            stopping=self._stop.is_set,
        )
        self._returning = Returning(
            self.store,
            home.path / RETURNED,
            lambda: GridExchange(self.fleet.grid(RETURNS), RETURNS),
            self.fleet.last_seen,
            stopping=self._stop.is_set,
        )
        self._countersigning = Countersigning(
            self.store,
            home.team,
            lambda: GridExchange(self.fleet.grid(AUDITS), AUDITS),
            self.fleet.last_seen,
            stopping=self._stop.is_set,
        )

    def __enter__(self) -> Self:
        self.fleet.__enter__()
        try:
            self.registry.__enter__()
        except BaseException:
            self.fleet.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.registry.__exit__(kind, error, at)
        self.fleet.__exit__(kind, error, at)
        self.store.close()

    def stop(self) -> None:
        """End `serve` after what it is doing."""
        self._stop.set()

    def serve(self) -> None:
        """Carry studies on until `stop`; a fault of one study, or of the store, never ends it."""
        while not self._stop.is_set():
            try:
                self._turn()
                self._warned.pop("server", None)
            except CairnError as error:
                self._warn("server", str(error))
            self._stop.wait(TICK)
        for name in ("offers", "findings", "audits"):  # a run is carried on at the next start
            if name in self._jobs:
                self._jobs[name].join()

    def _turn(self) -> None:
        self.registry.sweep()
        self._beside("offers", self._offering.look)
        self._beside("findings", self._returning.carry)
        self._beside("audits", self._countersigning.look)
        if self._is_free("run") and (run := self._running.next()):
            self._beside("run", partial(self._running.carry_on, run))

    def _is_free(self, name: str) -> bool:
        return name not in self._jobs or not self._jobs[name].is_alive()

    def _beside(self, name: str, work: Callable[[], None]) -> None:
        """What waits for clinics, in a thread of its own; one of each name at a time."""

        def guarded() -> None:
            try:
                work()
                self._warned.pop(name, None)
            except CairnError as error:
                self._warn(name, str(error))

        if self._is_free(name):
            self._jobs[name] = threading.Thread(target=guarded, name=name, daemon=True)
            self._jobs[name].start()

    def _warn(self, who: str, what: str) -> None:
        """Said when it begins or changes, not every second."""
        if self._warned.get(who) != what:
            self._warned[who] = what
            log.warning("%s: %s", who, what)
