"""`import_records`: the clinic's files into its sealed store, or the reason why not.

    lock → read (for each set of instruments) → free text? → loss? → seal → replace

I1  The same files on the same day give the same digest; then nothing is written.
I2  An import that would lose more than the clinic allows is refused until a person accepts it, and
    what was kept stays. People whom refused files leave out (withdrawn, sensitive programme) go
    from the store all the same: a fault in an export never keeps anybody in. Where files cannot be
    read, those that say who is out are read alone; if they cannot be either, the refusal says so.
I3  The list of rows that were set aside is written whatever becomes of the import.

The loss is judged over all patients, so whether an import passes depends on everybody: it decides
when the clinic's data change, as the day of an export does, and no study is asked meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal

import polars as pl

from cairn_client.audit_log.imports import tell_import
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.free_text import check_no_free_text
from cairn_client.loss import Loss, check_loss, losses
from cairn_client.manifest import Manifest, Own
from cairn_client.readers import QUARANTINE_FILE, Import
from cairn_client.readers.leaving import read_leaving
from cairn_client.record_pack import TABLES, Kept, digest
from cairn_client.record_store import RecordStore
from cairn_client.source_digest import source_digest
from cairn_models.questions.base import instrument_of
from cairn_protocol.errors import CairnError, InputError
from cairn_protocol.study import Study

log = logging.getLogger("cairn.keeper")

STAYED: Final = (
    "until then who has withdrawn by these files is still in what is kept: they could not be read"
)


@dataclass(frozen=True)
class Imported:
    """What became of an import.

    Args:
        read: the records of the first set and what was found wrong with the rest.
        manifest: of the store as it is now.
        change: "first" import, "changed", or "nothing" changed.
        quarantine: the list of rows that were set aside, where there are any.
        lost: what was kept before and is gone.
    """

    read: Import
    manifest: Manifest
    change: Literal["first", "changed", "nothing"]
    quarantine: Path | None
    lost: tuple[Loss, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What the files hold now, beside what is kept. Nothing was changed for it.

    Args:
        before: what is kept; None: nothing.
        sets: studies' own instruments, each with its `reads`; the first is ().
        source: digest of the files.
        lost: what would go, table by table.
    """

    before: Manifest | None
    sets: tuple[Own, ...]
    source: bytes
    reads: tuple[Import, ...]
    lost: tuple[Loss, ...]

    def of(self, study: Study) -> Import | None:
        """The read with this study's own instruments; None: there is none."""
        own = own_instruments(study)
        return self.reads[self.sets.index(own)] if own in self.sets else None

    @property
    def gone(self) -> tuple[Loss, ...]:
        """What would go of what is kept, where anything would."""
        return tuple(loss for loss in self.lost if loss.gone)

    def check(self, limit: float, *, accept_loss: bool = False) -> None:
        """Refuses what must not be kept.

        Raises:
            InputError: `input.free-text`.
            PolicyRefusal: `policy.import-loss`.
        """
        for read in self.reads:
            check_no_free_text(read)
        if not accept_loss:
            check_loss(list(self.lost), limit)


def import_records(
    clinic: ClinicFolder,
    *,
    own: Own = (),
    accept_loss: bool = False,
    day: date | None = None,
) -> Imported:
    """Reads the clinic's files and keeps what passed every check.

    Args:
        own: instruments of a study's own, for which records are kept from now on too.
        accept_loss: whether a person has said that much may go.
        day: on which consent must stand; None: today.

    Raises:
        InputError: a file, the mapping or the store cannot be used, or another import runs.
        PolicyRefusal: `policy.import-loss`.
    """
    store = RecordStore(clinic.state, clinic.identity())
    with store.importing():
        reading = read_to_keep(clinic, store, own, day)
        return keep(clinic, store, reading, accept_loss=accept_loss)


def own_instruments(study: Study) -> Own:
    """The instruments that the study brings, by which its records are kept."""
    return tuple(instrument_of(study, i.name) for i in study.instruments)


def read_to_keep(
    clinic: ClinicFolder, store: RecordStore, own: Own = (), day: date | None = None
) -> Reading:
    """As `read_files`; where that fails, those who are out go from what is kept (I2).

    Raises:
        InputError: a file, the mapping or the store cannot be used.
    """
    try:
        return read_files(clinic, store, own, day)
    except InputError as error:
        raise _unread(clinic, store, day, error) from None


def read_files(
    clinic: ClinicFolder, store: RecordStore, own: Own = (), day: date | None = None
) -> Reading:
    """The clinic's files with every set of instruments that is asked for, under `importing`.

    Raises:
        InputError: a file, the mapping or the store cannot be used.
    """
    before = store.manifest()
    known = before.sets if before else ((),)
    sets = known if own in known else (*known, own)
    source = source_digest(clinic.path)
    brought = {instrument.name for instruments in sets for instrument in instruments}
    reads = tuple(clinic.read(instruments, day, brought) for instruments in sets)
    return Reading(before, sets, source, reads, tuple(_lost(store, known, reads)))


def keep(
    clinic: ClinicFolder, store: RecordStore, reading: Reading, *, accept_loss: bool = False
) -> Imported:
    """Keeps what was read, under `importing`; otherwise as `import_records`."""
    before, reads = reading.before, reading.reads
    quarantine = _list_faults(reads[0], clinic.path)
    try:
        reading.check(clinic.config.loss_limit, accept_loss=accept_loss)
    except CairnError:
        _without(clinic, store, before, pl.concat([read.left_out for read in reads]))  # I2
        raise
    kept = [Kept.of(read) for read in reads]
    manifest = Manifest(
        number=before.number + 1 if before else 1,
        at=datetime.now(UTC),
        source=reading.source,
        records=tuple(map(digest, kept)),
        counts=_counts(reads[0]),
        sets=reading.sets,
    )
    if before and (before.records, before.sets) == (manifest.records, manifest.sets):
        return Imported(reads[0], before, "nothing", quarantine)
    store.write(manifest, kept)
    tell_import(clinic, manifest)
    change: Literal["first", "changed"] = "changed" if before else "first"
    return Imported(reads[0], manifest, change, quarantine, reading.gone)


def _lost(store: RecordStore, sets: Sequence[Own], reads: Sequence[Import]) -> list[Loss]:
    found = []
    for own, read in zip(sets, reads, strict=False):
        if (old := store.kept(own)) is not None:
            found += losses(old, Kept.of(read), read.left_out)
    return found


def _unread(
    clinic: ClinicFolder, store: RecordStore, day: date | None, error: InputError
) -> InputError:
    """The refusal of files that cannot be read, after what they say of who is out (I2)."""
    before = store.manifest()
    if before is None:
        return error
    kept = [kept for own in before.sets if (kept := store.kept(own)) is not None]
    everyone = pl.concat([one.records.patients["patient"] for one in kept]).unique().sort()
    try:
        found = read_leaving(clinic.path, everyone, day)
        _without(clinic, store, before, found.left_out)
        if found.whole:
            return error
    except InputError as another:
        log.error("who has withdrawn could not be taken from what is kept: %s", another.code)
    hint = f"{error.hint}; {STAYED}" if error.hint else STAYED
    code = error.code.removeprefix(f"{InputError.family}.")
    return InputError(error.what, code=code, why=error.why, hint=hint)


def _without(
    clinic: ClinicFolder, store: RecordStore, before: Manifest | None, left_out: pl.DataFrame
) -> None:
    """Takes those who are left out from what is kept (I2)."""
    if before is None:
        return
    sets = []
    for own in before.sets:
        kept = store.kept(own)
        if kept is None:
            return
        everyone = kept.records.patients["patient"]
        sets.append(kept.only(everyone.filter(~everyone.is_in(left_out["patient"].implode()))))
    now = tuple(map(digest, sets))
    if now == before.records:
        return
    log.warning("patients whom the refused files leave out were taken from what is kept")
    counts = {**before.counts, **_rows(sets[0])}
    manifest = Manifest(
        before.number + 1, datetime.now(UTC), before.source, now, counts, before.sets
    )
    store.write(manifest, sets)
    tell_import(clinic, manifest)


def _list_faults(read: Import, folder: Path) -> Path | None:
    """The list (I3); an older one goes where no row is set aside any more."""
    if read.quarantine.height or (folder / QUARANTINE_FILE).exists():
        path = read.write_quarantine(folder)
        return path if read.quarantine.height else None
    return None


def _counts(read: Import) -> dict[str, int]:
    left = {name: n for name, n in read.tallies.items() if name.startswith("patients left out")}
    aside = {"rows set aside": read.quarantine.height}
    return {**_rows(Kept.of(read)), **aside, **left}


def _rows(kept: Kept) -> dict[str, int]:
    return {table: getattr(kept.records, table).height for table in TABLES}
