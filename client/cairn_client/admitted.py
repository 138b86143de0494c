"""`admitted`: the patients whom a study's window admits and whom its charge covers; `asked_here`:
of them, those whom a question asks at this clinic."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from cairn_client.charged import charged_blocks
from cairn_client.entry_pins import EntryPins
from cairn_models.questions.base import Question
from cairn_models.records import Records
from cairn_privacy.blocks import quarter
from cairn_protocol.errors import OurFault
from cairn_protocol.study import Study


def asked_here(
    records: Records, question: Question[Any], pins: EntryPins | None, clinic: str | None
) -> Records:
    """The records that `question` is answered from: nobody's outside the group that it is asked of.

    Args:
        clinic: this clinic's name on the roster; None: it is in every group, for rehearsals.

    Raises:
        As `admitted`.
    """
    if clinic is not None and not question.counts_at(clinic):
        return Records(time_unit=records.time_unit)
    return admitted(records, question.study, pins)


def admitted(records: Records, study: Study, pins: EntryPins | None) -> Records:
    """The records of the patients whom the window admits, whole.

    Of patients' data, only those whose pinned quarter is charged; it is pinned on the way. Who is
    left out does not depend on any other patient.

    Raises:
        InputError: the pins are lost.
        OurFault: patients are to be charged without them.
    """
    inside = records.entered(study.cohort.entry_from, study.cohort.entry_until)
    blocks = charged_blocks(study)
    if not study.noised or blocks.whole:
        return inside
    if pins is None:
        raise OurFault("a window reached a clinic without its pins", code="no-entry-pins")
    entered: list[tuple[str, date]] = inside.patients.select("patient", "entry").rows()
    held = pins.hold({patient: quarter(day) for patient, day in entered})
    return inside.only(pl.Series([p for p, q in held.items() if q in blocks], dtype=pl.String))
