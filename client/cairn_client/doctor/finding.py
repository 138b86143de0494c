"""`Finding`: what one check found; `Report`: all of them, with the exit status that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self

from cairn_protocol.errors import CairnError


class Level(StrEnum):
    """How bad it is. `UNCHECKED`: something else has to be there first; it counts as no fault."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"
    PROBLEM = "problem"


_STATUS = {Level.OK: 0, Level.UNCHECKED: 0, Level.WARNING: 1, Level.PROBLEM: 2}


@dataclass(frozen=True)
class Finding:
    """One check's result. No secret and nothing of a patient is ever in it.

    Args:
        code: stable and dotted, `family.what`; an error's own where one was met.
        what: one sentence without a full stop.
        why: the reason, where `what` does not say it.
        remedy: what to do; a warning or a problem always has one.

    Raises:
        ValueError: a warning or a problem without a remedy.
    """

    code: str
    level: Level
    what: str
    why: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        if _STATUS[self.level] and not self.remedy:
            raise ValueError(f"{self.code} names no remedy")


def ok(code: str, what: str) -> Finding:
    """A check that found nothing wrong."""
    return Finding(code, Level.OK, what)


def unchecked(code: str, what: str) -> Finding:
    """A check that has to wait for something else, which `what` names."""
    return Finding(code, Level.UNCHECKED, what)


def warning(code: str, what: str, *, why: str = "", remedy: str) -> Finding:
    """The clinic can take part, but something will go wrong or is weaker than it could be."""
    return Finding(code, Level.WARNING, what, why, remedy)


def problem(code: str, what: str, *, why: str = "", remedy: str) -> Finding:
    """The clinic cannot take part, or should not, until this is mended."""
    return Finding(code, Level.PROBLEM, what, why, remedy)


def refused(error: CairnError) -> Finding:
    """An error that a part of Cairn raised, as the problem that it is, under its own code."""
    remedy = error.hint or "tell the research team, with the code"
    return problem(error.code, error.what, why=error.why, remedy=remedy)


@dataclass(frozen=True)
class Report:
    """Every family's findings, in the order in which they were looked at."""

    families: tuple[tuple[str, tuple[Finding, ...]], ...]

    @classmethod
    def of(cls, families: Iterable[tuple[str, Iterable[Finding]]]) -> Self:
        """The report of these families."""
        return cls(tuple((name, tuple(found)) for name, found in families))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings."""
        return tuple(finding for _, found in self.families for finding in found)

    @property
    def exit_status(self) -> int:
        """0: nothing wrong, 1: warnings, 2: at least one problem."""
        return max((_STATUS[finding.level] for finding in self.findings), default=0)

    def to_json(self) -> dict[str, object]:
        """Plain values: `status`, and `findings` with their family."""
        rows = [
            {"family": family, **asdict(finding)}
            for family, found in self.families
            for finding in found
        ]
        return {"status": self.exit_status, "findings": rows}
