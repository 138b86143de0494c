"""`with_omop`: a mapping and a source in which the database's tables stand like files.

The keeper never connects: a process that ends after the reading does, started here or, under a user
of its own, behind a socket (docs/clinic-omop.md). What comes back is frames, or a refusal.
"""

from __future__ import annotations

import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from cairn_client.readers.findings import Findings
from cairn_client.readers.mapping import ClinicMapping, NumberVariable, Patients, Scores
from cairn_client.readers.omop.mapping import Omop
from cairn_client.readers.omop.wire import Reply, read_reply
from cairn_client.readers.raw import RawTable, Source
from cairn_protocol.errors import InputError

GRACE: Final = 30.0  # seconds beyond the time limit, in which the importer ends by itself
DAY: Final = "%Y-%m-%d"
PERSON_COLUMNS: Final = {
    "age": "year_of_birth",
    "gender": "gender_concept_id",
    "race": "race_concept_id",
    "ethnicity": "ethnicity_concept_id",
}


def with_omop(folder: Path, mapping: ClinicMapping, files: Source) -> tuple[ClinicMapping, Source]:
    """The mapping with `scores` (and `patients`, unless a file has them) from `[omop]`."""
    assert mapping.omop is not None, "only a mapping with [omop] comes here"  # noqa: S101
    filled = {"scores": scores_of(mapping.omop)} | (
        {} if mapping.patients is not None else {"patients": patients_of(mapping.omop)}
    )
    return mapping.model_copy(update=filled), _OmopBesideFiles(folder, mapping.omop, filled, files)


def scores_of(omop: Omop) -> Scores:
    """`[scores]` as it would be, were the measurements a file."""
    return Scores(
        file="measurement",
        patient=omop.patient,
        date="measurement_date",
        date_format=DAY,
        instrument="measurement_concept_id",
        value="value_as_number",
        item="item" if omop.items else None,
        prorate=omop.prorate,
    )


def patients_of(omop: Omop) -> Patients:
    """`[patients]` as it would be, were the persons a file."""
    return Patients(
        file="person",
        patient=omop.patient,
        date_format=DAY,
        entry="entry",
        arm="arm" if omop.arms else None,
        variables={
            name: NumberVariable(column=PERSON_COLUMNS[fact])
            if fact == "age"
            else PERSON_COLUMNS[fact]
            for name, fact in omop.variables.items()
        },
    )


class _OmopBesideFiles:
    """The database's tables, read once when the first is asked for, and the files' others."""

    def __init__(
        self, folder: Path, omop: Omop, filled: dict[str, Scores | Patients], files: Source
    ) -> None:
        self._folder, self._omop, self._filled, self._files = folder, omop, filled, files
        self._reply: Reply | None = None

    def table(self, name: str, findings: Findings) -> RawTable | None:
        spec = self._filled.get(name)
        if spec is None:
            return self._files.table(name, findings)
        if self._reply is None:
            self._reply = ask_importer(self._folder, self._omop)
            findings.tallies.update(self._reply.tallies)
        table = self._reply.tables[name]
        if not table.frame.height:
            findings.add("table-empty", spec.file)
        return RawTable(spec.file, table.frame, spec.columns(), table.stretches)


def ask_importer(folder: Path, omop: Omop) -> Reply:
    """What the importer read of the database that the folder's mapping names.

    Raises:
        InputError: it refused, broke off, or did not end in time.
    """
    if omop.socket is not None:
        with _behind_socket(folder / omop.socket, omop.time_limit + GRACE) as stream:
            return read_reply(stream)
    command = [sys.executable, "-P", "-m", "cairn_client.readers.omop.importer", "--"]
    return run_importer([*command, str(folder.resolve())], omop.time_limit, omop.user or None)


def run_importer(command: list[str], time_limit: int, user: str | None = None) -> Reply:
    """The reply of the importer started as `command`; its diagnostics are dropped, see `wire`."""
    try:
        account = pwd.getpwnam(user) if user is not None else None
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    except (PermissionError, KeyError):
        raise InputError(
            f"the importer cannot be started as the user {user}",
            code="omop-user",
            why="only root can start it as another user, and the user must exist",
            hint="leave user out of [omop], or use socket; docs/clinic-omop.md, 'Under a user of "
            "its own'",
        ) from None
    late = threading.Timer(time_limit + GRACE, process.kill)
    late.start()
    try:
        with process:
            assert process.stdout is not None, "a pipe was asked for"  # noqa: S101
            return read_reply(cast(BinaryIO, process.stdout))
    finally:
        late.cancel()
        process.kill()  # where the reply was refused half-way; otherwise it has ended
        process.wait()


@contextmanager
def _behind_socket(path: Path, seconds: float) -> Iterator[BinaryIO]:
    """The stream of an importer that the system starts for each connection to `path`."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(seconds)
        try:
            link.connect(str(path))
        except OSError:
            raise InputError(
                "nobody answers at the importer's socket",
                code="omop-socket",
                hint="start its service, and let the keeper's user write to the socket; "
                "docs/clinic-omop.md, 'Under a user of its own'",
            ) from None
        with link.makefile("rb") as stream:
            yield stream
