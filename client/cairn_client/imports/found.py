"""`ImportLine`, `Found`: what an import leaves behind for people; counts and reasons, no record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from pydantic import TypeAdapter

from cairn_client.loss import Loss
from cairn_client.readiness.facts import Readiness

Outcome = Literal["kept", "unchanged", "looked", "refused"]


@dataclass(frozen=True)
class ImportLine:
    """One import in a line.

    Args:
        place: in the history, from 1; 0: not in it.
        number: of the import that studies use since; 0: there is none, or it was a dry run.
        at: when it ended, with its time zone.
        person: who asked for it, in their own word.
        source: SHA-256 of the mapping and the files, hexadecimal; "" where they could not be read.
        records: digest of the records, hexadecimal; "" where none were kept.
        rows: kept, by table but the patients'.
        left_out: patients by the reason why theirs are not used.
        lost: what went of what was kept before, or would have gone.
        code: of a refusal; of a dry run, that with which the same import would be refused.
    """

    place: int
    number: int
    at: datetime
    outcome: Outcome
    person: str
    source: str = ""
    records: str = ""
    patients: int = 0
    rows: dict[str, int] | None = None
    set_aside: int = 0
    left_out: dict[str, int] | None = None
    lost: tuple[Loss, ...] = ()
    loss_accepted: bool = False
    code: str = ""

    def at_place(self, place: int) -> ImportLine:
        """The same line in the history."""
        return replace(self, place=place)


@dataclass(frozen=True)
class Found:
    """What an import found: its line, and the facts of its data."""

    line: ImportLine
    facts: Readiness


LINES: Final = TypeAdapter(tuple[ImportLine, ...])
LINE: Final = TypeAdapter(ImportLine)
FOUND: Final = TypeAdapter(Found)
