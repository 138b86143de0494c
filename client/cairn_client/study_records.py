"""`StudyRecords`: a clinic's records as each study needs them, kept while its run goes on.

A run keeps the patients whom it found when it was opened, with what their records said then: an
import in the middle adds nobody and changes no score, so all rounds of a run are of one cohort.
Before every round and every question the cohort is looked at again, and whoever has withdrawn, or
is no longer in the newest import, leaves it for good. The next run takes the newest import.

Once `cairn clinic import` has been used, records come from the sealed store; before, from the
files, which are read when a run is opened. The first import ends that in the middle of a run, too:
whoever it leaves out leaves the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.importing import import_records, own_instruments
from cairn_client.manifest import Own
from cairn_client.readers import Import
from cairn_client.record_pack import Kept
from cairn_client.record_store import RecordStore, Stamp
from cairn_models.records import Records
from cairn_protocol.errors import InputError, OurFault, PolicyRefusal
from cairn_protocol.study import Study

log = logging.getLogger("cairn.keeper")


@dataclass(frozen=True)
class _Cohort:
    """Who is in a run, as far as the store of `stamp` and `day` tell; None: there was no store."""

    study: bytes
    own: Own
    kept: Kept
    stamp: Stamp | None
    day: date


class StudyRecords:
    """What was read for each study, from the store or the files of `clinic`.

    Args:
        today: the clinic's calendar; a test sets it.
    """

    def __init__(self, clinic: ClinicFolder, today: Callable[[], date] = date.today) -> None:
        self._clinic = clinic
        self._store = RecordStore(clinic.state, clinic.identity())
        self._today = today
        self._cohorts: dict[bytes, _Cohort] = {}  # by run
        self._ahead: dict[bytes, _Cohort] = {}  # by study: read for the run that comes next

    def read(self, study: Study) -> Import:
        """Reads the files with the study's instruments, and keeps what was read for its next run.

        Raises:
            InputError: a file or the mapping cannot be used at all.
        """
        own, day, stamp = own_instruments(study), self._today(), self._store.stamp
        read = self._clinic.read(own, day)
        kept = Kept(read.records, read.consent)
        self._ahead[study.digest] = _Cohort(study.digest, own, kept, stamp, day)
        return read

    def have(self, study: Study, run: bytes) -> None:
        """Takes the study's records for this run unless it has them: a new setup keeps its cohort.

        What is wrong is the clinic's to know.

        Raises:
            OurFault: `internal.records-unreadable`.
        """
        if run in self._cohorts:
            return
        ahead, stamp = self._ahead.pop(study.digest, None), self._store.stamp
        if ahead is not None and ahead.stamp == stamp:
            self._cohorts[run] = ahead
            return
        try:
            if stamp is not None:
                self._cohorts[run] = self._imported(study)
                return
            read = self.read(study)
        except (InputError, PolicyRefusal) as error:
            raise _unreadable(error) from None
        self._cohorts[run] = self._ahead.pop(study.digest)
        log.warning("nothing was imported yet: the files were read; see `cairn clinic import`")
        if read.findings:
            where = read.write_quarantine(self._clinic.path)
            log.warning("some rows were set aside; %s lists them", where)

    def of(self, run: bytes) -> Records:
        """The records of this run, of those who are still in its cohort.

        The same object as long as neither the store nor the day has changed, whoever withdrew: so
        the time of a reply tells that there was an import, not what it changed.

        Raises:
            OurFault: `internal.records-unreadable`.
        """
        cohort = self._cohorts[run]
        stamp, day = self._store.stamp, self._today()
        if (stamp, day) != (cohort.stamp, cohort.day):
            try:
                cohort = self._cohorts[run] = self._narrowed(cohort, stamp, day)
            except InputError as error:
                raise _unreadable(error) from None
        return cohort.kept.records

    def peek(self, study: Study) -> tuple[Records, str]:
        """The records that a run would begin with today, and what they are, in words.

        Nothing is kept, imported or written: where the newest import lacks the study's own
        instruments, or there is none, the files are read, as the run would do first.

        Raises:
            InputError: there is nothing that could be read.
        """
        own, day = own_instruments(study), self._today()
        manifest = self._store.manifest()
        if manifest is None:
            return self._clinic.read(own, day).records, "the files; nothing was imported yet"
        if (kept := self._store.kept(own)) is None:
            read = self._clinic.read(own, day)
            return read.records, "the files; the study's instruments were not imported yet"
        patients = kept.records.patients["patient"]
        out = kept.consent.by(patients, day)["patient"]
        stay = patients.filter(~patients.is_in(out.implode()))
        return kept.only(stay).records, f"the import of {manifest.at:%Y-%m-%d %H:%M} UTC"

    def forget(self, study: bytes) -> None:
        """Lets the records of every run of a study go."""
        self._ahead.pop(study, None)
        self.only([run for run, cohort in self._cohorts.items() if cohort.study != study])

    def only(self, runs: Iterable[bytes]) -> None:
        """Lets the records of all other runs go."""
        stay = set(runs)
        self._cohorts = {run: cohort for run, cohort in self._cohorts.items() if run in stay}

    def _imported(self, study: Study) -> _Cohort:
        """The newest import, with a study's own instruments; made where there is none with them."""
        own = own_instruments(study)
        # The stamp first: an import between the two is then looked at again, and not overlooked.
        stamp, kept = self._store.stamp, self._store.kept(own)
        if kept is None:
            import_records(self._clinic, own=own, day=self._today())
            stamp, kept = self._store.stamp, self._store.kept(own)
        if kept is None or stamp is None:
            raise _taken_away()
        day = self._today()
        return self._narrowed(_Cohort(study.digest, own, kept, stamp, day), stamp, day)

    def _narrowed(self, cohort: _Cohort, stamp: Stamp | None, day: date) -> _Cohort:
        """`cohort` without those who left it by `day` or with the import of `stamp`.

        Raises:
            InputError: the store, or the files in its place, cannot be used.
        """
        kept = cohort.kept
        patients = kept.records.patients["patient"]
        if stamp != cohort.stamp:
            newest = self._newest(cohort.own, day)
            present = newest.records.patients["patient"]
            patients = patients.filter(patients.is_in(present.implode()))
            kept = Kept(kept.records, newest.consent)
        out = kept.consent.by(patients, day)["patient"]
        stay = patients.filter(~patients.is_in(out.implode()))
        return _Cohort(cohort.study, cohort.own, kept.only(stay), stamp, day)

    def _newest(self, own: Own, day: date) -> Kept:
        """The newest import; the files, where it was not made with these instruments."""
        if (kept := self._store.kept(own)) is not None:
            return kept
        if self._store.manifest() is None:
            raise _taken_away()
        return Kept.of(self._clinic.read(own, day))


def _taken_away() -> InputError:
    return InputError("the store was taken away", code="records-gone")


def _unreadable(error: InputError | PolicyRefusal) -> OurFault:
    log.error("cannot read the clinic's records: %s; hint: %s", error, error.hint)
    return OurFault(
        "the clinic cannot read its records",
        code="records-unreadable",
        hint="the clinic's log says which and why",
    )
