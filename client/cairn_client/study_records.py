"""`StudyRecords`: a clinic's files as each study needs them, read once and kept while it runs."""

from __future__ import annotations

import logging

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.readers import Import
from cairn_models.questions.base import instrument_of
from cairn_models.records import Records
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.study import Study

log = logging.getLogger("cairn.keeper")


class StudyRecords:
    """What was read from the files of `clinic`, by study."""

    def __init__(self, clinic: ClinicFolder) -> None:
        self._clinic = clinic
        self._read: dict[bytes, Import] = {}

    def read(self, study: Study) -> Import:
        """Reads the files with the study's instruments, and keeps what was read.

        Raises:
            InputError: a file or the mapping cannot be used at all.
        """
        own = tuple(instrument_of(study, i.name) for i in study.instruments)
        self._read[study.digest] = read = self._clinic.read(own)
        return read

    def have(self, study: Study) -> None:
        """Reads the files unless they were; what is wrong with them is the clinic's to know.

        Raises:
            OurFault: `internal.records-unreadable`.
        """
        if study.digest in self._read:
            return
        try:
            read = self.read(study)
        except InputError as error:
            log.error("cannot read the clinic's files: %s; hint: %s", error, error.hint)
            raise OurFault(
                "the clinic cannot read its files",
                code="records-unreadable",
                hint="the clinic's log says which and why; nothing was charged",
            ) from None
        if read.findings:
            where = read.write_quarantine(self._clinic.path)
            log.warning("some rows were set aside; %s lists them", where)

    def of(self, study: bytes) -> Records:
        """The records of the study with this digest."""
        return self._read[study].records

    def forget(self, study: bytes) -> None:
        """Lets a study's records go."""
        self._read.pop(study, None)
