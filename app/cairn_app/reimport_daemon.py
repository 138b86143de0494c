"""`Reimporter`: imports a clinic's files when its schedule says so, in a process of its own."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cairn_client.reimport import Schedule
from cairn_protocol.errors import InputError

log = logging.getLogger("cairn.keeper")

LOOK_SECONDS: Final = 20.0
LONGEST_SECONDS: Final = 3600.0
_COMMAND: Final = "from cairn_app.cli import main; main()"


class Reimporter:
    """A thread beside the keeper. The import is a process: memory and faults end with it.

    Args:
        last: when the newest import was made; None: never.
        stop: ends the thread, and an import that is under way.
        command: what is run; a test gives another.
    """

    def __init__(
        self,
        folder: Path,
        schedule: Schedule,
        last: datetime | None,
        stop: threading.Event,
        *,
        command: Sequence[str] = (),
    ) -> None:
        words = ["clinic", "import", "--folder", str(folder), "--quiet"]
        self._command = [*command] or [sys.executable, "-P", "-c", _COMMAND, *words]
        self._schedule = schedule
        self._last = last
        self._stop = stop

    def start(self) -> threading.Thread:
        """Runs from now on."""
        thread = threading.Thread(target=self._run, name="reimport", daemon=True)
        thread.start()
        return thread

    def look(self, now: datetime) -> bool:
        """Imports if an import is due; whether it was."""
        if not self._schedule.due(self._last, now):
            return False
        self._last = now  # one that failed is tried again at the next planned time
        status = self._import()
        if status:
            log.warning("the planned import failed (status %d); what was kept stays", status)
        else:
            log.info("the planned import is done")
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look(datetime.now().astimezone())
            self._stop.wait(LOOK_SECONDS)

    def _import(self) -> int:
        waited = 0.0
        try:
            process = subprocess.Popen(self._command)  # noqa: S603
        except OSError as error:
            log.error("cannot start the import: %s", error.strerror)
            return 1
        while (status := process.poll()) is None:
            if self._stop.wait(0.5) or waited > LONGEST_SECONDS:
                process.terminate()
                return process.wait()
            waited += 0.5
        return status


def reimport_as_planned(folder: Path, stop: threading.Event) -> threading.Thread | None:
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
    return Reimporter(folder, schedule, manifest.at if manifest else None, stop).start()
