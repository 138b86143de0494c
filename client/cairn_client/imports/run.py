"""`run_import`, `dry_run`: an import as people ask for it, which leaves what it found.

Whatever becomes of it there is a line in the history; only a dry run leaves none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.importing import Imported, Reading, keep, read_files, read_to_keep
from cairn_client.imports.found import Found, ImportLine, Outcome
from cairn_client.imports.store import ImportFindings
from cairn_client.readers import Import
from cairn_client.readiness.facts import Readiness, readiness
from cairn_client.readiness.people import consent_counts
from cairn_client.record_pack import TABLES
from cairn_client.record_store import RecordStore
from cairn_protocol.errors import CairnError
from cairn_protocol.study import Study

LONGEST_NAME = 100
Studies = Callable[[], Sequence[Study] | None]
"""The studies that the clinic has approved; None where its keeper does not answer."""


@dataclass(frozen=True)
class Ran:
    """An import that was not refused.

    Args:
        found: what it left.
        read: of the clinic's files.
        imported: None: it was a dry run.
    """

    found: Found
    read: Import
    imported: Imported | None = None


def run_import(
    clinic: ClinicFolder,
    person: str,
    studies: Studies,
    *,
    accept_loss: bool = False,
    day: date | None = None,
) -> Ran:
    """Imports, and keeps what was found, of a refused import too.

    Args:
        person: who asks for it.
        accept_loss: whether they said that much may go.
        day: on which consent must stand; None: today.

    Raises:
        InputError: a file, the mapping or the store cannot be used, or another import runs.
        PolicyRefusal: `policy.import-loss`.
    """
    store, findings = _stores(clinic)
    day, asked = day or date.today(), _Asked(person.strip()[:LONGEST_NAME], accept_loss)
    with store.importing():
        try:
            reading = read_to_keep(clinic, store, day=day)
        except CairnError as error:
            findings.forget_tried()
            findings.append(asked.unread(error.code))
            raise
        read = reading.reads[0]
        facts = _facts(clinic, reading, studies, day)
        try:
            imported = keep(clinic, store, reading, accept_loss=accept_loss)
        except CairnError as error:
            line = findings.append(asked.line(reading, "refused", code=error.code))
            findings.keep("tried", Found(line, facts), read.quarantine)
            raise
        outcome: Outcome = "unchanged" if imported.change == "nothing" else "kept"
        found = Found(findings.append(asked.line(reading, outcome, imported)), facts)
        findings.keep("kept", found, read.quarantine)
        findings.forget_tried()
    return Ran(found, read, imported)


def dry_run(clinic: ClinicFolder, person: str, studies: Studies, day: date | None = None) -> Ran:
    """Looks only. What it found is kept as "tried"; no record, and no line in the history.

    Raises:
        InputError: a file, the mapping or the store cannot be used, or an import runs.
    """
    store, findings = _stores(clinic)
    day, asked = day or date.today(), _Asked(person.strip()[:LONGEST_NAME])
    with store.importing():
        reading = read_files(clinic, store, day=day)
        read, code = reading.reads[0], ""
        try:
            reading.check(clinic.config.loss_limit)
        except CairnError as error:
            code = error.code
        facts = _facts(clinic, reading, studies, day)
        found = Found(asked.line(reading, "looked", code=code), facts)
        findings.keep("tried", found, read.quarantine)
    return Ran(found, read)


def _stores(clinic: ClinicFolder) -> tuple[RecordStore, ImportFindings]:
    identity = clinic.identity()
    return RecordStore(clinic.state, identity), ImportFindings(clinic.state, identity)


def _facts(clinic: ClinicFolder, reading: Reading, studies: Studies, day: date) -> Readiness:
    config, read = clinic.config, reading.reads[0]
    return readiness(config.name, config.data, read, studies(), day, read_for=reading.of)


@dataclass(frozen=True)
class _Asked:
    """Who asked for an import, and whether they accept a loss."""

    person: str
    accept_loss: bool = False

    def unread(self, code: str) -> ImportLine:
        """The line of an import whose files could not be read."""
        return ImportLine(0, 0, datetime.now(UTC), "refused", self.person, code=code)

    def line(
        self, reading: Reading, outcome: Outcome, imported: Imported | None = None, code: str = ""
    ) -> ImportLine:
        """The line of an import whose files were read."""
        read = reading.reads[0]
        manifest = imported.manifest if imported is not None else None
        return ImportLine(
            place=0,
            number=manifest.number if manifest is not None else 0,
            at=datetime.now(UTC),
            outcome=outcome,
            person=self.person,
            source=reading.source.hex(),
            records=manifest.records[0].hex() if manifest is not None else "",
            patients=len(read.records),
            rows={table: getattr(read.records, table).height for table in TABLES[1:]},
            set_aside=read.quarantine.height,
            left_out=dict(consent_counts(read)),
            lost=reading.gone,
            loss_accepted=self.accept_loss and bool(reading.gone),
            code=code,
        )
