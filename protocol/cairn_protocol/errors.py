"""The tree of everything that Cairn refuses. A subclass's docstring says whose turn it is to act.

    CairnError
    ├── InputError       a file or an option that a person gave; they mend it            exit 2
    ├── PolicyRefusal    a clinic's or a study's rule says no; nothing is broken         exit 3
    ├── BudgetRefusal    the privacy budget does not allow it; nothing was computed      exit 4
    ├── PeerFault        the other side sent what the protocol forbids                   exit 5
    ├── OurFault         this side is broken or was asked out of order; a bug to report  exit 6
    └── StudyStopped     a run ended early, with a reason; what was spent stays charged  exit 7

Every error carries a stable `code` (never reused), what happened, why, and what to do. No
message carries a patient's value or identifier.
"""

from __future__ import annotations

from typing import ClassVar


class CairnError(Exception):
    """A refusal with a stable code.

    Args:
        what: what happened, one sentence without a full stop.
        code: stable dotted name, e.g. ``input.column-missing``.
        why: the reason, if `what` does not say it.
        hint: what to do about it.
    """

    exit_status: ClassVar[int] = 1
    family: ClassVar[str] = "error"

    def __init__(self, what: str, *, code: str, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.code = f"{self.family}.{code}"
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return f"[{self.code}] {self.what}" + (f": {self.why}" if self.why else "")


class InputError(CairnError):
    """A file or an option that a person gave cannot be used; they can mend it."""

    exit_status = 2
    family = "input"


class PolicyRefusal(CairnError):
    """A rule of the clinic, the study or the protocol says no; nothing is broken."""

    exit_status = 3
    family = "policy"


class BudgetRefusal(CairnError):
    """The privacy budget does not allow it; no record was read."""

    exit_status = 4
    family = "budget"


class PeerFault(CairnError):
    """The other side sent something that the protocol forbids; our state did not change."""

    exit_status = 5
    family = "peer"


class OurFault(CairnError):
    """This side is broken or was called out of order: a bug to report, not a user's mistake."""

    exit_status = 6
    family = "internal"


class StudyStopped(CairnError):
    """A run ended before its last question; what it spent stays charged."""

    exit_status = 7
    family = "stopped"
