"""`pack`, `unpack`: a clinic's records and dates of consent as bytes; `digest` names their content.

The bytes are Arrow's (polars' IPC), for speed; the digest is taken over the values written as text,
so that another version of polars gives the same one.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Final, get_args

import polars as pl

from cairn_client.readers.consent import PERIODS, Consent
from cairn_models.records import Records, TimeUnit

TABLES: Final = ("patients", "scores", "engagement", "wearables")
_UNITS: Final[tuple[TimeUnit, ...]] = get_args(TimeUnit)


@dataclass(frozen=True)
class Kept:
    """What a store keeps for one set of instruments: records, and the consent they stand on."""

    records: Records
    consent: Consent

    def only(self, patients: pl.Series) -> Kept:
        """These patients, with all rows."""
        return Kept(self.records.only(patients), self.consent.of(patients))


def pack(kept: Kept) -> bytes:
    """unit ‖ whether consent is held ‖ each table behind its length."""
    held = kept.consent.periods is not None
    parts = [bytes([_UNITS.index(kept.records.time_unit), held])]
    for frame in _frames(kept):
        buffer = io.BytesIO()
        frame.rechunk().write_ipc(buffer)
        parts += [len(buffer.getvalue()).to_bytes(8, "big"), buffer.getvalue()]
    return b"".join(parts)


def unpack(data: bytes) -> Kept:
    """What was packed. Only sealed bytes come here, so they are as they were written."""
    unit, held, at = _UNITS[data[0]], bool(data[1]), 2
    frames = []
    for _ in range(len(TABLES) + held):
        size = int.from_bytes(data[at : at + 8], "big")
        frames.append(pl.read_ipc(data[at + 8 : at + 8 + size], use_pyarrow=False))
        at += 8 + size
    periods = frames.pop() if held else None
    patients, scores, engagement, wearables = frames
    return Kept(Records(patients, scores, engagement, wearables, unit), Consent(periods))


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
    return frames
