"""`ImportFindings`: what imports found, sealed in .cairn; the history of them.

    import-kept.sealed    of the records that studies use: facts ‖ rows set aside
    import-tried.sealed   of a later dry run or refused import, the same
    imports.sealed        one line an import, the newest `MOST_LINES` of them

Written by whoever imports, under the lock of `RecordStore.importing`; read by the keeper.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Final, Literal

import polars as pl

from cairn_client.imports.found import FOUND, LINES, Found, ImportLine
from cairn_client.readers.findings import QUARANTINE
from cairn_client.seal import Seal
from cairn_client.sealed_file import BrokenFile, PartsFile
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity

log = logging.getLogger("cairn.keeper")

Attempt = Literal["kept", "tried"]
MOST_LINES: Final = 2000
HISTORY: Final = "imports.sealed"
_MARK: Final = b"cairn import findings 1\n"


class ImportFindings:
    """The findings in the folder `state` of the clinic with this identity."""

    def __init__(self, state: Path, identity: Identity) -> None:
        self._state = state
        self._seal = Seal(identity)

    def found(self, of: Attempt = "kept") -> Found | None:
        """What that attempt found; None: there is none.

        Raises:
            InputError: it cannot be read, or was changed.
        """
        parts = self._parts(_name(of), most=1)
        if not parts:
            return None
        return FOUND.validate_json(self._opened(parts[0], _name(of), b"facts"))

    def quarantine(self, of: Attempt = "kept") -> pl.DataFrame:
        """file, row, column, code, reason, remedy of every row that it set aside.

        Raises:
            InputError: it cannot be read, or was changed.
        """
        parts = self._parts(_name(of))
        if len(parts) < 2:
            return pl.DataFrame(schema=QUARANTINE)
        data = self._opened(parts[1], _name(of), b"rows")
        return pl.read_ipc(data, use_pyarrow=False)

    def history(self) -> tuple[ImportLine, ...]:
        """Every import, oldest first; dry runs are not among them.

        Raises:
            InputError: it cannot be read, or was changed.
        """
        parts = self._parts(HISTORY)
        if not parts:
            return ()
        return LINES.validate_json(self._opened(parts[0], HISTORY, b"lines"))

    def keep(self, of: Attempt, found: Found, quarantine: pl.DataFrame) -> None:
        """Keeps what an attempt found, in place of an earlier one of its kind.

        Raises:
            InputError: it cannot be written.
        """
        rows = io.BytesIO()
        quarantine.write_ipc(rows, compression="zstd")
        name = _name(of)
        self._write(
            name,
            self._seal.seal(FOUND.dump_json(found), name.encode(), b"facts"),
            self._seal.seal(rows.getvalue(), name.encode(), b"rows"),
        )

    def forget_tried(self) -> None:
        """Lets go what was tried: something newer is kept."""
        (self._state / _name("tried")).unlink(missing_ok=True)

    def append(self, line: ImportLine) -> ImportLine:
        """The line as it stands in the history from now on.

        Raises:
            InputError: it cannot be written.
        """
        try:
            lines = self.history()
        except InputError:  # no reason to refuse today's data
            log.warning("the history of imports cannot be read; it begins anew")
            lines = ()
        placed = line.at_place(lines[-1].place + 1 if lines else 1)
        lines = (*lines, placed)[-MOST_LINES:]
        sealed = self._seal.seal(LINES.dump_json(lines), HISTORY.encode(), b"lines")
        self._write(HISTORY, sealed)
        return placed

    def _write(self, name: str, *parts: bytes) -> None:
        try:
            PartsFile(self._state / name, _MARK).write(parts)
        except OSError as error:
            raise InputError(
                "what the import found could not be kept",
                code="findings-not-kept",
                why=error.strerror or type(error).__name__,
                hint="free disk space or mend the disk, then import again",
            ) from None

    def _parts(self, name: str, most: int | None = None) -> list[bytes]:
        try:
            return PartsFile(self._state / name, _MARK).read(most)
        except BrokenFile as error:
            raise _damaged(self._state / name, str(error)) from None
        except OSError as error:
            raise _damaged(self._state / name, error.strerror or type(error).__name__) from None

    def _opened(self, sealed: bytes, name: str, part: bytes) -> bytes:
        try:
            return self._seal.open(sealed, name.encode(), part)
        except ValueError as error:
            raise _damaged(self._state / name, str(error)) from None


def _name(of: Attempt) -> str:
    return f"import-{of}.sealed"


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be read",
        code="findings-damaged",
        why=why,
        hint="import again: `cairn clinic import`; studies do not need this file",
    )
