"""A file is either whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cairn_protocol.errors import InputError


def replace_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`: write beside it, fsync, rename, fsync the folder.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(
            f"cannot write {path}",
            code="folder-unwritable",
            why=error.strerror or str(error),
            hint="check the folder's permissions and the space left, or choose another folder",
        ) from None
