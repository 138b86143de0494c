"""The audit log for a person: its entries, and what a check of an export has shown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from cairn_protocol.identity import fingerprint

if TYPE_CHECKING:
    from cairn_client.audit_log.against_ledger import Compared
    from cairn_client.audit_log.export import Covered, Verified
    from cairn_protocol.proto import audit_pb2 as pb

WIDTH = 96
CLOCK = "by the clock of the team's server"


def log_text(entries: Sequence[pb.AuditEntry], standing: pb.AuditStanding) -> str:
    """Entries, oldest first, a `·` before those that nobody has countersigned; then how far."""
    lines = []
    for entry in entries:
        mark = " " if entry.countersigned else "·"
        head = f"{entry.number:>6} {mark} {_minute(entry.at)}  "
        lines += textwrap.wrap(
            entry.words, WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
        )
    return "\n".join((*lines, "", *_standing(standing)))


def _standing(standing: pb.AuditStanding) -> list[str]:
    since = standing.entries - standing.covered
    if not standing.receipt:
        told = [f"{standing.entries} entries, none countersigned yet: the research team's server"]
        told.append("does so within the hour, once it reaches this clinic.")
    else:
        told = [
            f"Countersigned up to entry {standing.covered}, {_minute(standing.receipt_at)} UTC "
            f"(receipt {standing.receipt}); {since} since (·)."
        ]
    if standing.gaps:
        told.append(
            f"{standing.gaps} time(s) this log did not hold what it had shown before: it was "
            "restored or lost."
        )
    return told


@dataclass(frozen=True)
class Judged:
    """What the check of an export has shown, in sentences."""

    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    never: tuple[str, ...]

    @classmethod
    def of(
        cls, log: Verified, *, team: bytes | None, paid: Compared | None, head_known: bool
    ) -> Self:
        """The judgement on a log whose links and receipts hold.

        Args:
            team: the key that a person knows to be the team's.
            head_known: whether it holds a head that the server showed.
        """
        newest = log.newest(team)
        proven, missing = _receipts(log, newest)
        if newest is not None and team is None:
            missing.append(
                "Whose key countersigned it. Compare this fingerprint with the team, by telephone, "
                f"and give it with --team: {fingerprint(newest.team)}"
            )
        if paid is not None:
            proven += _paid(paid)
        never = _never(log, newest, head_known=head_known)
        return cls(tuple(proven), tuple(missing), tuple(never))


def _receipts(log: Verified, newest: Covered | None) -> tuple[list[str], list[str]]:
    proven, missing = [], []
    if newest is None:
        missing.append(
            "When it was written, and that it was not written anew: there is no receipt."
        )
    else:
        receipt = newest.receipt
        proven.append(
            f"Entries 1 to {newest.entry} were so on {_minute(receipt.at)} UTC, {CLOCK}: the "
            f"research team signed receipt {receipt.number}. Without the team, nobody can have "
            "changed, left out or added one of them since."
        )
    missing += [
        f"What stood in the log for which the team signed receipt {receipt.number}, on "
        f"{_minute(receipt.at)} UTC. The log says itself that it does not hold it: it was "
        "restored from a backup, lost, or written anew."
        for receipt in log.lost
    ]
    missing += [
        f"Which of two heads was shown as number {number}: the team signed both"
        for number in log.twice
    ]
    return proven, missing


def _paid(paid: Compared) -> list[str]:
    uploads = _many(paid.paid, "upload", "uploads").capitalize()
    told = [f"{uploads} about patients, each with a charge of its own in the ledger."]
    if paid.public:
        told.append(f"{_many(paid.public, 'upload', 'uploads').capitalize()} of public data.")
    if paid.unsent:
        charges = _many(paid.unsent, "charge", "charges").capitalize()
        told.append(
            f"{charges} for what the log does not have: it never left, or left before the log "
            "began or after it was exported."
        )
    return told


def _never(log: Verified, newest: Covered | None, *, head_known: bool) -> list[str]:
    """What no such check can show, and what shows it."""
    after = len(log.entries) - newest.entry if newest else 0
    told = []
    if after:
        many = _many(after, "entry", "entries").capitalize()
        told.append(f"{many} after the last receipt: the clinic's word alone.")
    if not head_known:
        told.append(
            "Whether entries were cut off at the end: `cairn server audit` shows the newest head "
            "that the team countersigned; give it with --head."
        )
    told.append("That everything was written down: the clinic's own machine writes the log.")
    return told


def verdict_text(name: str, log: Verified, judged: Judged) -> str:
    """The check for a person."""
    first, last = log.entries[0].at[:16], log.entries[-1].at[:16]
    lines = [
        f"{name}: the audit log of {log.whose.clinic}",
        f"  clinic   {fingerprint(log.whose.identity)}",
        *(f"  team     {fingerprint(team)}" for team in sorted(log.teams)),
        f"  {len(log.entries):,} entries, {first.replace('T', ' ')} to {last.replace('T', ' ')}",
        f"  {', '.join(_counts(log))}",
        "",
        "Every entry follows from the one before it, and every receipt is genuine.",
    ]
    for title, told in (
        ("Proven", judged.proven),
        ("Not proven", judged.not_proven),
        ("Beyond this check", judged.never),
    ):
        if told:
            lines += ["", title, *(line for one in told for line in _item(one))]
    return "\n".join(lines)


def _counts(log: Verified) -> list[str]:
    kinds = (
        ("decided", "decision", "decisions"),
        ("upload", "upload", "uploads"),
        ("patient-view", "view of patients", "views of patients"),
    )
    return [_many(len(log.of(kind)), one, more) for kind, one, more in kinds]


def _many(count: int, one: str, more: str) -> str:
    return f"one {one}" if count == 1 else f"{count or 'no'} {more}"


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _minute(at: int) -> str:
    """A time, UTC, to the minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
