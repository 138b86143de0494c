"""`records`: whether the mapping and the files that it names can be read, and how old they are.

Not one row is read here: `cairn clinic import --dry-run` does that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cairn_client.doctor.finding import Finding, ok, problem, refused, unchecked, warning
from cairn_client.doctor.site import Site
from cairn_protocol.errors import InputError

OLD_DAYS: Final = 35  # a monthly export, and some
MAPPING: Final = "mapping.toml"
SEALED: Final = "records.sealed"  # written by an import, whole; see `record_store`
_DAY: Final = 86400.0


def records(site: Site) -> Iterator[Finding]:
    """The mapping, each file that it names, and the age of the newest."""
    if not site.can_see(site.path / MAPPING):
        made = "mapping.toml is not there, or your user may not read it"
        if site.joined:
            yield warning(
                "records.mapping-missing",
                made,
                why="without it no study can be answered",
                remedy="write it, or have it proposed; docs/clinic-data.md",
            )
        else:
            yield unchecked("records.mapping-missing", made)
        return
    try:
        files, named = _mapped(site.path)
    except InputError as error:
        if isinstance(error.__context__, PermissionError):
            yield unchecked("records.mapping", "only the keeper's user may read mapping.toml")
        else:
            yield refused(error)
        return
    yield ok("records.mapping", "mapping.toml is understood")
    if named:
        yield unchecked(
            "records.instruments",
            f"mapping.toml names {', '.join(named)}, which Cairn does not know: only a study that "
            "brings it shows whether the name is right",
        )
    newest = 0.0
    for file in files:
        try:
            newest = max(newest, file.stat().st_mtime)
            if not os.access(file, os.R_OK):
                raise PermissionError
        except FileNotFoundError:
            yield problem(
                "input.file-missing",
                f"mapping.toml names {file.name}, which is not there",
                remedy="export it into the clinic's folder, or mend `file` in mapping.toml",
            )
        except OSError:
            yield unchecked("records.files", f"only the keeper's user may read {file.name}")
    if newest:
        yield _age((time.time() - newest) / _DAY)
    yield _imported(site.state / SEALED, newest)


def _mapped(folder: Path) -> tuple[list[Path], list[str]]:
    """The files and the instruments that the mapping names, of these only what Cairn does not know.

    Polars and torch are not loaded before somebody asks.
    """
    from cairn_client.readers.mapping import ClinicMapping, known_instruments  # noqa: PLC0415

    mapping = ClinicMapping.parse(folder)
    names = {str(getattr(table, "file", "")) for table in mapping.tables().values()}
    unknown = mapping.named_instruments() - set(known_instruments(()))
    return [folder / name for name in sorted(names - {""})], sorted(unknown)


def _age(days: float) -> Finding:
    if days > OLD_DAYS:
        return warning(
            "records.old",
            f"the newest of the clinic's files is {days:.0f} days old",
            why="a study sees the clinic as it was then",
            remedy="export them anew; docs/clinic-data.md says how that is scheduled",
        )
    return ok("records.age", f"the newest of the clinic's files is {max(days, 0):.1f} days old")


def _imported(store: Path, newest: float) -> Finding:
    """The age of what the last import kept, against the files that it would read now."""
    try:
        at = store.stat().st_mtime
    except OSError:
        return unchecked("records.import", "no import that was kept can be seen")
    days = max(time.time() - at, 0) / _DAY
    if newest > at and days > 1:
        return warning(
            "records.import-behind",
            f"the last import is {days:.0f} days old, and the files have changed since",
            why="a study sees the clinic as it was imported last",
            remedy="cairn clinic import; `reimport` in clinic.toml has the keeper do it",
        )
    return ok("records.import", f"the last import is {days:.1f} days old")
