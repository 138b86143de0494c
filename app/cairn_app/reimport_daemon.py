"""`Reimporter`: has a clinic's files imported when its schedule says so, beside the keeper."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cairn_client.reimport import Schedule
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_client.imports.running import ImportRuns

log = logging.getLogger("cairn.keeper")

LOOK_SECONDS: Final = 20.0
PERSON: Final = "schedule"  # who asks, in the history


class Reimporter:
    """A thread beside the keeper. The import is a process: memory and faults end with it.

    Args:
        runs: the keeper's importers.
        last: when the newest import was made; None: never.
        stop: ends the thread.
    """

    def __init__(
        self, runs: ImportRuns, schedule: Schedule, last: datetime | None, stop: threading.Event
    ) -> None:
        self._runs = runs
        self._schedule = schedule
        self._last = last
        self._stop = stop

    def start(self) -> threading.Thread:
        """Runs from now on."""
        thread = threading.Thread(target=self._run, name="reimport", daemon=True)
        thread.start()
        return thread

    def look(self, now: datetime) -> bool:
        """Imports if an import is due; whether it was. One that somebody else runs goes first."""
        if not self._schedule.due(self._last, now):
            return False
        try:
            run = self._runs.start(PERSON)
        except InputError:  # one is under way: this one is made up when that has ended
            return False
        self._last = now  # one that failed is tried again at the next planned time
        while run.state == "running" and not self._stop.is_set():
            run = self._runs.wait(0.5)
        if run.state in ("kept", "unchanged"):
            log.info("the planned import is done")
        else:
            log.warning("the planned import was not kept; what was kept before stays")
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look(datetime.now().astimezone())
            self._stop.wait(LOOK_SECONDS)


def reimport_as_planned(
    folder: Path, runs: ImportRuns, stop: threading.Event
) -> threading.Thread | None:
    """A running `Reimporter` where clinic.toml has a schedule; it ends with `stop`."""
    from cairn_client.clinic_folder import ClinicFolder
    from cairn_client.record_store import RecordStore

    clinic = ClinicFolder.open(folder)
    schedule = Schedule.parse(clinic.config.reimport)
    if schedule is None:
        return None
    try:
        manifest = RecordStore(clinic.state, clinic.identity()).manifest()
    except InputError as error:  # the keeper starts all the same: people must be able to ask it
        log.error("%s; hint: %s", error, error.hint)
        manifest = None
    return Reimporter(runs, schedule, manifest.at if manifest else None, stop).start()
