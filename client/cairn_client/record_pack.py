"""`pack`, `unpack`: a clinic's records and dates of consent as bytes; `digest` names their content.

The bytes are Arrow's (polars' IPC), for speed; the digest is taken over the values written as text,
so that another version of polars gives the same one.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import Final, Self, get_args

import polars as pl

from cairn_client.readers import Import
from cairn_client.readers.consent import PERIODS, Consent
from cairn_client.readers.item_nine import ITEM_NINE, no_item_nine
from cairn_models.records import Records, TimeUnit

TABLES: Final = ("patients", "scores", "engagement", "wearables")
_CONSENT, _NINE = 1, 2
_UNITS: Final[tuple[TimeUnit, ...]] = get_args(TimeUnit)


@dataclass(frozen=True)
class Kept:
    """What a store keeps for one set of instruments: records, and the consent they stand on.

    `item_nine` is kept beside them, for the clinic's own eyes: no question is ever given it.
    """

    records: Records
    consent: Consent
    item_nine: pl.DataFrame = field(default_factory=no_item_nine)

    @classmethod
    def of(cls, read: Import) -> Self:
        """What is kept of an import."""
        return cls(read.records, read.consent, read.item_nine)

    def only(self, patients: pl.Series) -> Kept:
        """These patients, with all rows."""
        nine = self.item_nine.filter(pl.col("patient").is_in(patients.implode()))
        return Kept(self.records.only(patients), self.consent.of(patients), nine)


def pack(kept: Kept) -> bytes:
    """unit ‖ which tables beside the records are held ‖ each table behind its length."""
    held = _CONSENT * (kept.consent.periods is not None) + _NINE * (kept.item_nine.height > 0)
    parts = [bytes([_UNITS.index(kept.records.time_unit), held])]
    for frame in _frames(kept):
        buffer = io.BytesIO()
        frame.rechunk().write_ipc(buffer)
        parts += [len(buffer.getvalue()).to_bytes(8, "big"), buffer.getvalue()]
    return b"".join(parts)


def unpack(data: bytes) -> Kept:
    """What was packed. Only sealed bytes come here, so they are as they were written."""
    unit, held, at = _UNITS[data[0]], data[1], 2
    frames = []
    for _ in range(len(TABLES) + held.bit_count()):
        size = int.from_bytes(data[at : at + 8], "big")
        frames.append(pl.read_ipc(data[at + 8 : at + 8 + size], use_pyarrow=False))
        at += 8 + size
    nine = frames.pop() if held & _NINE else no_item_nine()
    periods = frames.pop() if held & _CONSENT else None
    patients, scores, engagement, wearables = frames
    return Kept(Records(patients, scores, engagement, wearables, unit), Consent(periods), nine)


def digest(kept: Kept) -> bytes:
    """SHA-256 of all values; the same for the same records, whatever order their files had."""
    total = hashlib.sha256(kept.records.time_unit.encode())
    for frame in _frames(kept):
        ordered = frame.sort(frame.columns, nulls_last=True)
        text = ordered.write_csv(null_value="\N{NULL}")
        total.update(hashlib.sha256(f"{frame.schema}\n{text}".encode()).digest())
    return total.digest()


def _frames(kept: Kept) -> list[pl.DataFrame]:
    frames = [getattr(kept.records, name) for name in TABLES]
    if kept.consent.periods is not None:
        frames.append(kept.consent.periods.select(list(PERIODS)))
    if kept.item_nine.height:
        frames.append(kept.item_nine.select(list(ITEM_NINE)))
    return frames
