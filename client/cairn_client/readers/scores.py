"""`check_scores`: total scores of known instruments, within their ranges, once each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import polars as pl

from cairn_client.readers.findings import Findings
from cairn_client.readers.items import totals_from_items
from cairn_client.readers.long_tables import Clock, known_patients, once, translated, with_time
from cairn_client.readers.mapping import Scores
from cairn_client.readers.raw import RawTable
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
    clock: Clock,
    date_format: str,
    findings: Findings,
) -> pl.DataFrame:
    """`Records.scores`, sorted by patient, instrument and time."""
    file = raw.file
    frame = known_patients(raw, entries, findings)
    frame = _with_instruments(frame, raw, spec, known, findings)
    frame = with_time(frame, raw, clock, spec.date_format or date_format, findings)
    frame = with_number(frame, "value", clock.decimal, findings, file, raw.columns["value"])
    items = None
    if spec.item is not None:
        items = frame.filter(pl.col("item").is_not_null())
        frame = frame.filter(pl.col("item").is_null())
    for instrument in frame["instrument"].unique(maintain_order=True).to_list():
        frame = _within_range(frame, known[instrument], raw, findings)
    frame = once(frame, ["patient", "instrument", "time"], ["value"], findings, file, "value-twice")
    if items is not None and items.height:
        frame = totals_from_items(items, frame, spec, raw, findings)
    return frame.select(list(SCORES)).sort("patient", "instrument", "time")


def _within_range(
    frame: pl.DataFrame, instrument: Instrument, raw: RawTable, findings: Findings
) -> pl.DataFrame:
    mine, value = pl.col("instrument") == instrument.name, pl.col("value")
    lowest, highest = instrument.lowest, instrument.highest
    column = raw.columns["value"]
    frame = findings.set_aside(
        frame,
        mine & ~value.is_between(lowest, highest),
        "score-out-of-range",
        raw.file,
        column=column,
        instrument=instrument.name,
        lowest=lowest,
        highest=highest,
    )
    if instrument.whole_numbers:
        broken = mine & (value != value.round())
        findings.note(
            frame, broken, "score-not-whole", raw.file, column=column, instrument=instrument.name
        )
    return frame


def _with_instruments(
    frame: pl.DataFrame,
    raw: RawTable,
    spec: Scores,
    known: Mapping[str, Instrument],
    findings: Findings,
) -> pl.DataFrame:
    if spec.instrument_is is not None:
        return frame.with_columns(instrument=pl.lit(spec.instrument_is))
    column, file = raw.columns["instrument"], raw.file
    code = pl.col("instrument")
    frame = findings.set_aside(frame, code.is_null(), "instrument-missing", file, column=column)
    meanings = {folded_word(name): name for name in known}
    meanings |= {folded_word(word): name for word, name in spec.codes.items()}
    ignored = {folded_word(word) for word in spec.ignore} - set(meanings)
    words = frame["instrument"].unique(maintain_order=True).to_list()
    dropped = [w for w in words if folded_word(w) in ignored]
    if dropped:
        before = frame.height
        frame = frame.filter(~code.is_in(dropped))
        findings.tallies["scores ignored"] += before - frame.height
    unknown = [w for w in words if folded_word(w) not in meanings and w not in dropped]
    shown = _showable(unknown, frame)
    for word in shown:
        frame = findings.set_aside(
            frame,
            code == word,
            "instrument-unknown",
            file,
            column=column,
            shown=f'"{word}"',
            quoted=f'"{word}"',
        )
    frame = findings.set_aside(
        frame,
        code.is_in([w for w in unknown if w not in set(shown)]),
        "instrument-unknown",
        file,
        column=column,
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
