"""`Manifest`: when the clinic's records were imported, from what, and how many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self

from cairn_models.measures import Instrument

Own = tuple[Instrument, ...]
"""A study's own instruments; () for none. Its records are kept for each such set apart."""


@dataclass(frozen=True)
class Manifest:
    """What a store of records says of itself.

    Args:
        number: of the import, from 1; one that changed nothing has none.
        at: when it was written, with its time zone.
        source: SHA-256 of the mapping and of the files that it names.
        records: digest of the records kept for each set of instruments, in the order of `sets`.
        counts: patients, rows by table, and patients left out by reason.
        sets: studies' own instruments beside Cairn's; the first set is always ().
    """

    number: int
    at: datetime
    source: bytes
    records: tuple[bytes, ...]
    counts: Mapping[str, int]
    sets: tuple[Own, ...] = ((),)

    def to_bytes(self) -> bytes:
        """JSON."""
        return json.dumps(
            {
                "number": self.number,
                "at": self.at.isoformat(),
                "source": self.source.hex(),
                "records": [digest.hex() for digest in self.records],
                "counts": dict(self.counts),
                "sets": [[asdict(i) for i in own] for own in self.sets],
            },
            sort_keys=True,
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote."""
        plain = json.loads(data)
        return cls(
            number=plain["number"],
            at=datetime.fromisoformat(plain["at"]),
            source=bytes.fromhex(plain["source"]),
            records=tuple(map(bytes.fromhex, plain["records"])),
            counts=plain["counts"],
            sets=tuple(tuple(Instrument(**i) for i in own) for own in plain["sets"]),
        )
