"""`check_scores`: total scores of known instruments, within their ranges, once each."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from cairn_client.readers.item_nine import no_item_nine
from cairn_client.readers.items import totals_from_items
from cairn_client.readers.long_tables import Clock, known_patients, once, translated, with_time
from cairn_client.readers.mapping import Scores
from cairn_client.readers.raw import RawTable, Sheet
from cairn_client.readers.values import folded_word, with_number
from cairn_models.measures import Instrument
from cairn_models.records import SCORES

MOST_SHOWN: Final = 20  # unknown codes; more of them is a wrong column, not a list of instruments
_CODE: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ._-]{1,20}")


def check_scores(
    raw: RawTable,
    spec: Scores,
    known: Mapping[str, Instrument],
    entries: pl.DataFrame | None,
    *,
    clock: Clock,
    sheet: Sheet,
    elsewhere: Collection[str] = (),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(`Records.scores`, sorted by patient, instrument and time; `ITEM_NINE`).

    Args:
        elsewhere: instruments that the mapping names and only a study knows, whose range is
            missing here: their rows are counted and left out.
    """
    frame = known_patients(raw.frame, entries, sheet)
    frame = _with_instruments(frame, spec, {*known, *elsewhere}, sheet)
    of_a_study = pl.col("instrument").is_in([*elsewhere])
    sheet.findings.tallies["scores of instruments that only a study knows"] += frame.filter(
        of_a_study
    ).height
    frame = frame.filter(~of_a_study)
    frame = with_time(frame, clock, spec.date_format, sheet)
    frame = with_number(frame, "value", clock.decimal, sheet)
    items = frame.head(0)
    if spec.item is not None:
        items = frame.filter(pl.col("item").is_not_null())
        frame = frame.filter(pl.col("item").is_null())
    for instrument in frame["instrument"].unique(maintain_order=True).to_list():
        frame = _within_range(frame, known[instrument], sheet)
    frame = once(frame, ["patient", "instrument", "time"], ["value"], "value-twice", sheet)
    nine = no_item_nine()
    if items.height:
        frame, nine = totals_from_items(items, frame, spec, sheet)
    return frame.select(list(SCORES)).sort("patient", "instrument", "time"), nine


def _within_range(frame: pl.DataFrame, instrument: Instrument, sheet: Sheet) -> pl.DataFrame:
    mine, value = pl.col("instrument") == instrument.name, pl.col("value")
    words = {
        "instrument": instrument.name,
        "lowest": instrument.lowest,
        "highest": instrument.highest,
    }
    outside = mine & ~value.is_between(instrument.lowest, instrument.highest)
    frame = sheet.set_aside(frame, outside, "score-out-of-range", "value", **words)
    if instrument.whole_numbers:
        broken = mine & (value != value.round())
        sheet.note(frame, broken, "score-not-whole", "value", **words)
    return frame


def _with_instruments(
    frame: pl.DataFrame, spec: Scores, known: Collection[str], sheet: Sheet
) -> pl.DataFrame:
    """`frame` with `instrument` in Cairn's names; ignored ones dropped, unknown ones set aside."""
    if spec.instrument_is is not None:
        return frame.with_columns(instrument=pl.lit(spec.instrument_is))
    code = pl.col("instrument")
    frame = sheet.set_aside(frame, code.is_null(), "instrument-missing", "instrument")
    meanings = {folded_word(name): name for name in known}
    meanings |= {folded_word(word): name for word, name in spec.codes.items()}
    ignored = {folded_word(word) for word in spec.ignore}
    words = frame["instrument"].unique(maintain_order=True).to_list()
    dropped = [word for word in words if folded_word(word) in ignored]
    if dropped:
        sheet.findings.tallies["scores ignored"] += frame.filter(code.is_in(dropped)).height
        frame = frame.filter(~code.is_in(dropped))
    unknown = [w for w in words if folded_word(w) not in meanings and w not in set(dropped)]
    for word in _showable(unknown, frame):
        shown = f'"{word}"'
        frame = sheet.set_aside(
            frame, code == word, "instrument-unknown", "instrument", shown=shown, quoted=shown
        )
    frame = sheet.set_aside(
        frame,
        code.is_in(unknown),
        "instrument-unknown",
        "instrument",
        shown="(its code is not shown)",
        quoted='"its code"',
    )
    return translated(frame, "instrument", meanings)


def _showable(unknown: list[str], frame: pl.DataFrame) -> list[str]:
    """Codes that may be printed: they look like an instrument's, and like no patient's identifier.

    A mapping that points at the wrong column must not print what is in it: many different codes,
    numbers and identifiers are withheld.
    """
    if len(unknown) > MOST_SHOWN:
        return []
    patients = set(frame["patient"].unique().to_list())
    return [
        word
        for word in unknown
        if _CODE.fullmatch(word) and "".join(folded_word(word).split()) not in patients
    ]
