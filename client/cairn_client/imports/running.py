"""`ImportRuns`: the importer as the keeper starts it: one at a time, watched, and ended with it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from cairn_client.imports.found import LINE, ImportLine, Outcome
from cairn_protocol.errors import InputError

log = logging.getLogger("cairn.keeper")

LONGEST_SECONDS: Final = 3600.0
LARGEST_REPLY: Final = 1 << 20
STOP_SECONDS: Final = 5.0
State = Literal["none", "running", "failed"] | Outcome


@dataclass(frozen=True)
class Run:
    """An importer that runs, or how the newest one ended. Times have their zone."""

    state: State = "none"
    dry_run: bool = False
    person: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    line: ImportLine | None = None
    code: str = ""  # of a refusal, with what is wrong, why, and what to do
    what: str = ""
    why: str = ""
    hint: str = ""


class ImportRuns:
    """The importers of the clinic in `folder`.

    Args:
        command: what is run in place of the importer; a test gives another.
    """

    def __init__(self, folder: Path, command: Sequence[str] = ()) -> None:
        module = [sys.executable, "-P", "-m", "cairn_client.imports.process"]
        self._command = [*command] or module
        self._folder = folder
        self._lock = threading.Lock()
        self._run = Run()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._ended = threading.Event()
        self._ended.set()

    def start(self, person: str, *, dry_run: bool = False, accept_loss: bool = False) -> Run:
        """Starts the importer; how it ends shows in `newest`.

        Raises:
            InputError: `input.import-running`.
        """
        with self._lock:
            if self._run.state == "running":
                raise InputError(
                    "another import is under way",
                    code="import-running",
                    hint="wait until it has ended, then import again if files changed since",
                )
            self._run = Run("running", dry_run, person, datetime.now(UTC))
            self._ended.clear()
            started = self._run
        options = ["--dry-run"] * dry_run + ["--accept-loss"] * accept_loss
        command = [*self._command, str(self._folder.resolve()), person, *options]
        # The thread lives as long as the process: the kernel ends a child with its parent's thread.
        threading.Thread(target=self._watch, args=(command,), name="importer", daemon=True).start()
        return started

    @property
    def newest(self) -> Run:
        """The importer that runs, or how the newest one ended."""
        with self._lock:
            return self._run

    def wait(self, seconds: float) -> Run:
        """The newest, after it has ended or the seconds have passed."""
        self._ended.wait(seconds)
        return self.newest

    def stop(self) -> None:
        """Ends an importer that runs; what was kept before stays."""
        with self._lock:
            self._stopped = True
            process = self._process
            if process is not None:
                process.terminate()
        if not self._ended.wait(STOP_SECONDS) and process is not None:
            process.kill()

    def _watch(self, command: list[str]) -> None:
        ended: Run | None = None
        try:
            ended = self._ran(command)
        finally:
            with self._lock:
                failed = replace(self._run, state="failed")
                self._run = replace(ended or failed, ended_at=datetime.now(UTC))
                self._process = None
            self._ended.set()

    def _ran(self, command: list[str]) -> Run:
        try:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
        except OSError as error:
            log.error("cannot start the import: %s", error.strerror)
            return replace(self._run, state="failed")
        with self._lock:
            self._process = process
            if self._stopped:
                process.terminate()
        late = threading.Timer(LONGEST_SECONDS, process.kill)
        late.daemon = True
        late.start()
        try:
            with process:
                assert process.stdout is not None, "a pipe was asked for"  # noqa: S101
                said = process.stdout.read(LARGEST_REPLY)
        finally:
            late.cancel()
        return self._read(said, process.returncode)

    def _read(self, said: bytes, status: int) -> Run:
        try:
            told = json.loads(said)
            if "line" in told:
                line = LINE.validate_python(told["line"])
                return replace(self._run, state=line.outcome, line=line)
            code, what, why, hint = (str(told[name]) for name in ("code", "what", "why", "hint"))
        except (ValueError, ValidationError, KeyError, TypeError):
            log.error("the import broke off (status %d); what was kept stays", status)
            return replace(self._run, state="failed")
        log.warning("the import was refused: %s", code)
        return replace(self._run, state="refused", code=code, what=what, why=why, hint=hint)
