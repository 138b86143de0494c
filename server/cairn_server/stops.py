"""Why a run stops, in words for the research team, and `Trouble`: what may yet pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cairn_protocol.errors import CairnError, StudyStopped
from cairn_server.gathering import RESTARTED, Fault

STAYS_CHARGED = "what was charged so far stays charged"


class Trouble(Exception):
    """A failure that may pass; `stopped` is what to raise where it does not."""

    def __init__(self, stopped: StudyStopped) -> None:
        super().__init__(stopped.what)
        self.stopped = stopped


def refusal(name: str, error: CairnError) -> StudyStopped:
    """A clinic's own words, as the reason for a stop."""
    return StudyStopped(
        f"{name}: {error.what}",
        code="clinic-refused",
        why=error.why,
        hint=error.hint or STAYS_CHARGED,
    )


def missing(
    names: Sequence[str],
    clinics: Sequence[int],
    faults: Mapping[int, Fault],
    seconds: float,
    why: str,
) -> StudyStopped:
    """No answer that counts from `clinics`, which the run cannot go on without."""
    restarted = [i for i in clinics if i in faults and faults[i].code in RESTARTED]
    refused = [i for i in clinics if i in faults and i not in restarted]
    silent = [i for i in clinics if i not in faults]
    said = (
        (silent, f"no answer from {{}} within {seconds:g} seconds"),
        (restarted, "{} lost the keys of this round"),
        (refused, "{} could not answer"),
    )
    parts = [text.format(", ".join(names[i] for i in group)) for group, text in said if group]
    return StudyStopped(
        "; ".join(parts) or "too few clinics answered",
        code="clinic-missing",
        why=why,
        hint=f"{STAYS_CHARGED}; see that these clinics run",
    )


def too_few(last: StudyStopped | None, count: int, clinics: int, needed: int) -> StudyStopped:
    """So many clinics have left that no sum can be opened; `last` is why the last of them did."""
    reason = last or StudyStopped("too few clinics are left", code="clinics-left")
    why = f"{count} of {clinics} clinics are left, the study needs {needed}"
    return StudyStopped(
        reason.what,
        code=reason.code.removeprefix("stopped."),
        why=f"{why}; {reason.why}" if reason.why else why,
        hint=reason.hint,
    )


def out_of_retries() -> StudyStopped:
    """Another attempt is not allowed."""
    return StudyStopped(
        "a round failed more often than the study allows",
        code="retries-used",
        why="each attempt is charged at the clinics, and privacy.retries bounds them",
        hint="a new study, with a new approval, can ask what is left",
    )
