"""`within`: a file that a mapping names, in the clinic's folder and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cairn_client.readers.mapping import MAPPING_FILE
from cairn_protocol.errors import InputError

LARGEST_FILE: Final = 2 << 30  # bytes
_HINT: Final = f"check file = in {MAPPING_FILE}; files must lie in the clinic's folder"


def within(folder: Path, file: str) -> Path:
    """The path of `file` in `folder`, links followed.

    Raises:
        InputError: it lies outside, is no file, or is larger than 2 GiB.
    """
    try:
        root = folder.resolve()
        path = (root / file).resolve()
        if not path.is_relative_to(root):
            raise InputError(f"{file} lies outside the folder", code="file-outside", hint=_HINT)
        if not path.is_file():
            raise InputError(f"there is no file {file}", code="file-missing", hint=_HINT)
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{file} is larger than 2 GiB", code="file-too-large", hint=_HINT)
        return path
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise unreadable(file, error) from None


def read_whole(folder: Path, file: str) -> bytes:
    """The bytes of `file` in `folder`; refuses as `within` does, and what may not be read."""
    path = within(folder, file)
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(file, error) from None


def unreadable(file: str, error: Exception) -> InputError:
    """The refusal of a file that the system does not let us read."""
    why = getattr(error, "strerror", None) or "the name is not one a file can have"
    return InputError(f"cannot read {file}", code="file-unreadable", why=why, hint=_HINT)
