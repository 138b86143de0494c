"""A PostgreSQL server of a test's own: a temporary folder, a Unix socket, no network."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HBA = "local all owner trust\nlocal all all scram-sha-256\n"


def why_not() -> str:
    """Why no server can be started here, or nothing."""
    missing = [name for name in ("initdb", "postgres") if _binary(name) is None]
    if missing:
        return f"no {missing[0]} on this machine (Debian: postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (extra: omop)"
    return ""


def _binary(name: str) -> Path | None:
    if found := shutil.which(name):
        return Path(found)
    return max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), default=None)


@contextmanager
def server() -> Iterator[Path]:
    """The folder of the server's socket; its superuser is `owner`, without a password."""
    folder = Path(tempfile.mkdtemp(prefix="cairn-pg-", dir="/tmp"))
    who: dict[str, object] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = folder / "data"
    process = None
    try:
        subprocess.run(
            [str(_binary("initdb")), "-D", str(data), "-U", "owner", "-A", "trust", "--no-sync",
             "--locale=C", "-E", "UTF8"],
            check=True, capture_output=True, cwd=folder, timeout=60, **who,  # type: ignore[call-overload]
        )  # fmt: skip
        (data / "pg_hba.conf").write_text(HBA)
        process = subprocess.Popen(  # type: ignore[call-overload]
            [str(_binary("postgres")), "-D", str(data), "-k", str(folder), "-c",
             "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **who,
        )  # fmt: skip
        _wait(folder)
        yield folder
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(folder: Path) -> None:
    import psycopg

    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(host=str(folder), user="owner", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
