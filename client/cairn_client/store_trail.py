"""`TrailStore`: what people decided, by the number under which it was appended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cairn_client.store_base import StoreBase


@dataclass(frozen=True)
class Decided:
    """A row of decisions: on a study (a digest) under a roster (a digest)."""

    number: int
    study: bytes
    roster: bytes
    state: str
    person: str
    at: str


@dataclass(frozen=True)
class MemberSaid:
    """A row of members. `source`: a registry's key, or empty where a person compared."""

    number: int
    fingerprint: str
    clinic: str
    source: bytes
    stands: bool
    person: str
    at: str


@dataclass(frozen=True)
class RegistrySaid:
    """A row of registries; `issue` is the newest list's number then."""

    number: int
    key: bytes
    name: str
    issue: int
    pinned: bool
    person: str
    at: str


class TrailStore(StoreBase):
    """Reads the append-only tables behind a number; nothing is written here."""

    @property
    def changes(self) -> int:
        """Rows that were written since the store was opened: the same as long as nothing was."""
        with self._reading():
            return self._database.total_changes

    def decided_after(self, number: int) -> list[Decided]:
        """Decisions, in order."""
        columns = "number, study, roster, state, person, at"
        return [Decided(*row) for row in self._after("decisions", columns, number)]

    def members_after(self, number: int) -> list[MemberSaid]:
        """Words on other clinics, in order."""
        columns = "number, fingerprint, clinic, source, stands, person, at"
        rows = self._after("members", columns, number)
        return [
            MemberSaid(at_number, mark, clinic, source, bool(stands), person, at)
            for at_number, mark, clinic, source, stands, person, at in rows
        ]

    def registries_after(self, number: int) -> list[RegistrySaid]:
        """Pins, and lists that were taken in, in order."""
        columns = "number, key, name, issue, pinned, person, at"
        rows = self._after("registries", columns, number)
        return [
            RegistrySaid(at_number, key, name, issue, bool(pinned), person, at)
            for at_number, key, name, issue, pinned, person, at in rows
        ]

    def _after(self, table: str, columns: str, number: int) -> list[Any]:
        query = f"SELECT {columns} FROM {table} WHERE number > ? ORDER BY number"  # noqa: S608
        with self._reading():
            return self._database.execute(query, (number,)).fetchall()
