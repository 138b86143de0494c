"""`records_here`: what the clinic holds today of those who consent, for its own eyes."""

from __future__ import annotations

from datetime import date

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.record_pack import Kept
from cairn_client.record_store import RecordStore
from cairn_models.questions.base import instrument_of
from cairn_protocol.study import Study


def records_here(clinic: ClinicFolder, study: Study, day: date) -> Kept:
    """The newest import, or the files where nothing was imported, of who consents on `day`.

    Raises:
        InputError: store, files or mapping cannot be used.
    """
    own = tuple(instrument_of(study, i.name) for i in study.instruments)
    kept = RecordStore(clinic.state, clinic.identity()).kept(own)
    if kept is None:
        return Kept.of(clinic.read(own, day))
    patients = kept.records.patients["patient"]
    out = kept.consent.by(patients, day)["patient"]
    return kept.only(patients.filter(~patients.is_in(out.implode())))
