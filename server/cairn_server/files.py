"""Files that are made once and read with care: private ones, and ones that replace others whole."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cairn_protocol.errors import InputError
from cairn_protocol.study import read_bounded


def make_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes a file that must not exist; on disk when this returns.

    Raises:
        InputError: `input.file-exists`.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise InputError(
            f"{path} exists and is never overwritten",
            code="file-exists",
            hint="use what is there, or give another folder",
        ) from None
    _write(handle, data)
    sync(path.parent)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replaces a file whole or not at all, whatever happens in between."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def read_private(path: Path, limit: int) -> bytes:
    """The bytes of a private key, which nobody but its owner may read.

    Raises:
        InputError: `input.key-exposed`, or the file cannot be read.
    """
    data = read_bounded(path, limit)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(
            f"{path} is open to other users of this machine",
            code="key-exposed",
            hint=f"chmod 600 {path}; if others use this machine, make a new key",
        )
    return data


def sync(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
