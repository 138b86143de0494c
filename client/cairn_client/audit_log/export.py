"""`written`: an audit log as one text file; `verified` reads one and checks all of it, offline.

The file is JSON lines: `{"audit": 1, "clinic", "identity"}`, then for each entry
`{"entry": body, "hash"}`, in order, and `{"receipt": body}` in hexadecimal for each receipt. It
needs no keeper, no server and no key to be checked. The teams' public keys are those that the log
says the clinic joined; whose they are, people compare.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cairn_client.audit_log.chain import Chain, Entry, altered, canonical
from cairn_protocol.countersigning import NOT_CONTINUED
from cairn_protocol.errors import InputError, PeerFault
from cairn_protocol.identity import PUBLIC_BYTES
from cairn_protocol.messages import AuditReceipt

FORMAT: Final = 1
_Line = tuple[int, AuditReceipt]  # number of the line, and what it holds


@dataclass(frozen=True)
class Whose:
    """Whose log it is: the clinic's name and public key."""

    clinic: str
    identity: bytes


@dataclass(frozen=True)
class Covered:
    """A receipt for a head of the log: who signed it (a public key), and up to which entry."""

    receipt: AuditReceipt
    team: bytes
    entry: int


@dataclass(frozen=True)
class Verified:
    """An audit log in which every link and every receipt holds.

    Args:
        entries: all, in order.
        receipts: those for heads of this log, in order of their numbers.
        teams: public keys of the teams that the clinic joined.
        lost: receipts for what this log says itself that it does not hold.
        twice: numbers for which the team signed two heads.
    """

    whose: Whose
    entries: tuple[Entry, ...]
    receipts: tuple[Covered, ...]
    teams: frozenset[bytes]
    lost: tuple[AuditReceipt, ...]
    twice: tuple[int, ...]

    def newest(self, team: bytes | None = None) -> Covered | None:
        """The receipt that covers most, of all or of one team's."""
        by = [covered for covered in self.receipts if team in (None, covered.team)]
        return by[-1] if by else None

    def of(self, kind: str) -> tuple[Entry, ...]:
        """The entries of one kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def check_continues(self, earlier: Verified) -> None:
        """Refuses a log that does not begin as `earlier` was.

        Raises:
            LogAltered: it does not.
        """
        begin = self.entries[: len(earlier.entries)]
        if [e.hash for e in begin] != [e.hash for e in earlier.entries]:
            raise altered("it does not continue the earlier export")

    def check_shows(self, head: bytes) -> None:
        """Refuses a log that was never shown with this head.

        Raises:
            LogAltered: it was not.
        """
        if all(entry.hash != head for entry in self.of("head")):
            raise altered("it does not hold that head: entries were cut off, or written anew")


def written(
    whose: Whose, entries: Iterable[tuple[str, str]], receipts: Iterable[bytes]
) -> Iterator[str]:
    """The file's lines. An entry is its body and its hash, a receipt its body."""
    first = {"clinic": whose.clinic, "identity": whose.identity.hex()}
    yield json.dumps({"audit": FORMAT, **first}, ensure_ascii=True) + "\n"
    for body, digest in entries:
        yield f'{{"entry":{body},"hash":"{digest}"}}\n'
    for receipt in receipts:
        yield f'{{"receipt":"{receipt.hex()}"}}\n'


def verified(text: str) -> Verified:
    """What an export says, once every link and receipt of it was checked.

    Raises:
        InputError: it is no export of an audit log.
        LogAltered: a link, a receipt or a rule is broken.
    """
    lines = text.splitlines()
    whose = _whose(lines[0] if lines else "")
    chain, entries, receipts = Chain(whose.identity), [], []
    for number, line in enumerate(lines[1:], start=2):
        row = _object(line, number)
        if "receipt" in row:
            receipts.append((number, _receipt(row, whose, number)))
        else:
            entries.append(_entry(row, chain, number))
    if not entries or entries[0].fields["clinic"] != whose.clinic:
        raise altered("it does not begin with the clinic that it names")
    return _held(whose, chain, tuple(entries), receipts)


def _held(
    whose: Whose, chain: Chain, entries: tuple[Entry, ...], receipts: Sequence[_Line]
) -> Verified:
    held: dict[int, Covered] = {}
    lost, heads = [], dict[int, set[bytes]]()
    for line, receipt in receipts:
        team = next((key for key in chain.teams if receipt.genuine(key)), None)
        if team is None:
            raise altered(f"line {line} holds a receipt that no research team of its signed")
        heads.setdefault(receipt.number, set()).add(receipt.head)
        shown = chain.heads.get(receipt.number)
        if shown is not None and shown.hash == receipt.head:
            if receipt.previous not in _before(chain, receipt.number):
                raise altered(f"receipt {receipt.number} continues another log than this")
            held[receipt.number] = Covered(receipt, team, shown.number)
        elif (receipt.number, receipt.head) in chain.gaps:
            lost.append(receipt)
        else:
            raise altered(f"receipt {receipt.number} was signed for another log than this")
    return Verified(
        whose,
        entries,
        tuple(held[number] for number in sorted(held)),
        frozenset(chain.teams),
        tuple(lost),
        tuple(sorted(number for number, said in heads.items() if len(said) > 1)),
    )


def _before(chain: Chain, number: int) -> set[bytes]:
    """What may be said to have been shown under the number before."""
    before = chain.heads.get(number - 1)
    broken = before is None or any(gap == number - 1 for gap, _ in chain.gaps)
    said = {before.hash} if before else set()
    return said | {NOT_CONTINUED} if broken else said


def _whose(line: str) -> Whose:
    try:
        row = json.loads(line)
        if row["audit"] != FORMAT:
            raise ValueError
        whose = Whose(str(row["clinic"]), bytes.fromhex(row["identity"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        whose = Whose("", b"")
    if len(whose.identity) != PUBLIC_BYTES:
        raise InputError(
            "this is no export of an audit log",
            code="audit-log-foreign",
            why="its first line does not say whose log it is",
            hint="give what `cairn clinic log export` wrote, with the version of Cairn that wrote "
            "it or a later one",
        )
    return whose


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise altered(f"line {number} cannot be read")
    return row


def _entry(row: dict[str, Any], chain: Chain, number: int) -> Entry:
    try:
        body, digest = canonical(row["entry"]), bytes.fromhex(row["hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise altered(f"line {number} cannot be read") from None
    if digest.hex() != row["hash"] or len(row) != 2:
        raise altered(f"line {number} is not in its one form")
    return chain.take(body, digest)


def _receipt(row: dict[str, Any], whose: Whose, number: int) -> AuditReceipt:
    try:
        receipt = AuditReceipt.from_body(bytes.fromhex(row["receipt"]))
    except (ValueError, TypeError, PeerFault):
        raise altered(f"line {number} holds no receipt") from None
    if receipt.body.hex() != row["receipt"] or len(row) != 1:
        raise altered(f"line {number} is not in its one form")
    if receipt.identity != whose.identity:
        raise altered(f"line {number} holds a receipt of another clinic")
    return receipt
