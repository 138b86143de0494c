"""`understand`: which column of a file is what, and which of Cairn's tables the file could be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from cairn_client.readers.proposing.columns import Look, look
from cairn_client.readers.proposing.dates import Order
from cairn_client.readers.proposing.sampling import Sample
from cairn_client.readers.proposing.spread import Spread, spread_of
from cairn_client.readers.proposing.words import (
    PRIVATE,
    instrument_of,
    plain,
    roles_of,
    says_consent,
    variable_of,
)
from cairn_client.readers.scales import ENGAGEMENT_RANGES, WEARABLE_RANGES

TableName = Literal["patients", "consent", "scores", "engagement", "wearables"]
_MOSTLY: Final = 0.5
_ONCE: Final = 0.95  # of a patients' table's rows are of a patient of their own
_OF_PATIENTS: Final = frozenset({"entry", "arm", "discharge"})
_VAGUE: Final = frozenset({"id", "code", "pid"})


@dataclass(frozen=True)
class FileLook:
    """What a file's columns are.

    Args:
        sample: its beginning.
        looks: by column, of columns whose name occurs once.
        roles: role → column, of the roles that were found.
        unsure: roles that were found by elimination or by values alone.
        table: which table it could be; None for none.
        spread: what its columns hold, where several name an instrument each.
        instrument: the one instrument of a file whose value column is named after it.
    """

    sample: Sample
    looks: Mapping[str, Look]
    roles: Mapping[str, str]
    unsure: frozenset[str]
    table: TableName | None
    spread: Spread | None = None
    instrument: str | None = None

    @property
    def used(self) -> frozenset[str]:
        """Columns that would be read: of roles, and those that are spread out."""
        wide = self.spread.columns if self.spread is not None else {}
        dates = {column.date for column in wide.values() if column.date is not None}
        return frozenset({*self.roles.values(), *wide, *dates})

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of scores and shares, which are written with the decimal mark."""
        named = tuple(self.roles[r] for r in ("value", "coverage") if r in self.roles)
        return (*named, *(self.spread.columns if self.spread is not None else ()))

    def values(self, role: str) -> pl.Series:
        """The column of `role`."""
        return self.sample.column(self.roles[role])


def understand(sample: Sample, order: Order | None) -> FileLook:
    """What `sample` looks like; dates that either order would read stay in trouble without one."""
    names = [n for n in sample.header if n and sample.header.count(n) == 1]
    looks = {name: look(sample.column(name), order) for name in names}
    roles: dict[str, str] = {}
    unsure: set[str] = set()
    _find(roles, looks, "patient", ("number", "words", "text"), _by_precision(names))
    _find(roles, looks, "week", ("number",), names)
    _find(roles, looks, "month", ("number",), names)
    for role in ("consent_begins", "consent_ends"):
        _find(roles, looks, role, ("date",), names)
        if role not in roles and says_consent(sample.file):  # there, "from" and "until" will do
            _find(roles, looks, role, ("date",), names, word=role.removeprefix("consent_"))
    for role in ("entry", "discharge", "date"):
        _find(roles, looks, role, ("date",), names)
    for role in ("value", "coverage"):
        _find(roles, looks, role, ("number",), names)
    _find(roles, looks, "item", ("number", "words"), names)
    _find(roles, looks, "arm", ("words",), names)
    _find(roles, looks, "sensitive", ("words", "number"), names)
    said = _by_words(sample, looks, roles.get("patient"))
    named = tuple(
        name
        for name in names
        if looks[name].kind == "number" and instrument_of(name)[0] and name not in roles.values()
    )
    instrument = spread = None
    if "value" not in roles and said is None:
        spread = spread_of(looks, frozenset(roles.values()))
    if spread is None and "value" not in roles and len(named) == 1 and said is None:
        roles["value"], instrument = named[0], instrument_of(named[0])[0]
    table = _table(sample, roles, said, instrument)
    if said is not None and table in ("scores", "engagement", "wearables"):
        roles["instrument" if table == "scores" else "measure"] = said[1]
        if roles.get("arm") == said[1]:
            del roles["arm"]
        if not set(roles_of(said[1])) & {"instrument", "measure"}:
            unsure.add("instrument")
    visits = {c.date for c in spread.columns.values()} if spread is not None else set()
    free = {name: how for name, how in looks.items() if name not in visits}
    if table == "patients" and "entry" not in roles:
        _only_date(roles, unsure, free, "entry")
    timed = {"week", "month", "date"} & set(roles)
    if table is not None and table not in ("patients", "consent") and not timed:
        _only_date(roles, unsure, free, "date")
    return FileLook(sample, looks, roles, frozenset(unsure), table, spread, instrument)


def variables(found: FileLook) -> dict[str, str]:
    """Cairn's name → column of the covariates that a patients' file holds."""
    listed: dict[str, str] = {}
    for name, how in found.looks.items():
        variable = variable_of(name)
        usable = how.kind in ("number", "words") and name not in found.used
        if variable is not None and usable and plain(name) not in PRIVATE:
            listed.setdefault(variable, name)
    return listed


def _find(
    roles: dict[str, str],
    looks: Mapping[str, Look],
    role: str,
    kinds: tuple[str, ...],
    names: Iterable[str],
    *,
    word: str | None = None,
) -> None:
    """Gives `role` the first free column that is called so, or as `word` is."""
    for name in names:
        called = (word or role) in roles_of(name)
        if called and looks[name].kind in kinds and name not in roles.values():
            roles[role] = name
            return


def _by_precision(names: list[str]) -> list[str]:
    """Names that say patient before those that say identifier of anything."""
    return sorted(names, key=lambda name: plain(name) in _VAGUE)


def _only_date(
    roles: dict[str, str], unsure: set[str], looks: Mapping[str, Look], role: str
) -> None:
    """Give `role` the only column of dates that has no other role and is no date of birth."""
    free = [
        name
        for name, how in looks.items()
        if how.kind == "date"
        and plain(name) not in PRIVATE
        and (name not in roles.values() or roles.get("date") == name)
    ]
    if len(free) == 1:
        if roles.get("date") == free[0]:
            del roles["date"]
        roles[role] = free[0]
        unsure.add(role)


def _by_words(
    sample: Sample, looks: Mapping[str, Look], patient: str | None
) -> tuple[TableName, str] | None:
    """The table whose words a column holds, and the column."""
    known = {
        "engagement": {plain(word) for word in ENGAGEMENT_RANGES},
        "wearables": {plain(word) for word in WEARABLE_RANGES},
    }
    best: tuple[float, TableName, str] | None = None
    for name, how in looks.items():
        if name == patient or how.kind not in ("words", "number"):
            continue
        counts = sample.column(name).drop_nulls().value_counts().rows()
        if len(counts) > 200:
            continue
        whole = sum(n for _, n in counts)
        shares: dict[TableName, int] = {
            "scores": sum(n for word, n in counts if instrument_of(word)[0]),
            "engagement": sum(n for word, n in counts if plain(word) in known["engagement"]),
            "wearables": sum(n for word, n in counts if plain(word) in known["wearables"]),
        }
        for table, n in shares.items():
            if n > _MOSTLY * whole and (best is None or n / whole > best[0]):
                best = n / whole, table, name
    return best and (best[1], best[2])


def _table(
    sample: Sample,
    roles: Mapping[str, str],
    said: tuple[TableName, str] | None,
    instrument: str | None,
) -> TableName | None:
    if "patient" not in roles:
        return None
    if said is not None and "value" in roles:
        return said[0]
    if instrument is not None and {"date", "week", "month"} & set(roles):
        return "scores"
    if {"consent_begins", "consent_ends"} & set(roles) and not _OF_PATIENTS & set(roles):
        return "consent"
    patients = sample.column(roles["patient"]).drop_nulls()
    once = patients.len() > 0 and patients.n_unique() >= _ONCE * patients.len()
    if once and {"entry", "arm", "discharge", "consent_begins"} & set(roles):
        return "patients"
    return None
