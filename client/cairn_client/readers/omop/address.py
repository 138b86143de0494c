"""`address`: the database's URL, out of a private file or the environment; never shown.

A URL may hold a password: it is read by the process that connects, at the moment when it connects,
and stands in no message, no argument and no log.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from cairn_client.readers.omop.mapping import Omop
from cairn_protocol.errors import InputError

LONGEST_URL: Final = 4096  # bytes
_PAGE: Final = "docs/clinic-omop.md"


def address(folder: Path, omop: Omop) -> URL:
    """Where the database is; a relative path of SQLite counts from `folder`.

    Raises:
        InputError: no URL there, others may read its file, or it is of neither system.
    """
    if omop.url_file is not None:
        text = _private(folder / omop.url_file, omop.url_file)
    elif omop.url_env is not None:
        text = os.environ.get(omop.url_env, "")
        if not text:
            raise InputError(
                f"the environment has no {omop.url_env}",
                code="omop-address",
                hint="set it for the process that runs the import, or use url_file",
            )
    else:
        text = omop.url or ""
        if (_parsed(text)).password is not None:
            raise InputError(
                "the url in [omop] holds a password",
                code="omop-password",
                why="mapping.toml may be read by others",
                hint="put the whole URL into a file of mode 0600 and give url_file instead",
            )
    return _usable(folder, _parsed(text))


def _parsed(text: str) -> URL:
    try:
        return make_url(text.strip())
    except (ArgumentError, ValueError):
        raise InputError(
            "the database's address cannot be read",
            code="omop-address",
            hint="write one line such as postgresql://user:password@host/database or "
            f"sqlite:///file.sqlite; write @ : / in a password as %40 %3A %2F ({_PAGE})",
        ) from None


def _usable(folder: Path, url: URL) -> URL:
    system = url.get_backend_name()
    if system == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if system == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite", database=str(folder.resolve() / str(url.database)))
    raise InputError(
        "the database is neither PostgreSQL nor an SQLite file",
        code="omop-system",
        hint=f"the URL begins with postgresql:// or sqlite:/// ({_PAGE}); from another system, "
        "export CSV or Parquet",
    )


def _private(path: Path, name: str) -> str:
    """The text of a file that nobody but its owner, us or root, may read."""
    hint = f"chmod 600 {name}, and let it belong to the user who runs the import"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise InputError(
            f"cannot read {name}, the file with the database's address",
            code="omop-address",
            hint=f"check url_file in [omop]; {hint}",
        ) from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name} is no file", code="omop-address", hint="check url_file")
        if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
            raise InputError(
                f"{name} is open to other users of this machine",
                code="omop-address-open",
                why="it may hold a password",
                hint=f"{hint}; change the password if others may have read it",
            )
        return file.read(LONGEST_URL).decode("utf-8", "replace")
