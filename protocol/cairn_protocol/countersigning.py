"""`AuditRequest`, `AuditHead`, `AuditReceipt`: how a server countersigns a clinic's audit log.

The server asks for the log's head under the next number, the clinic signs what it has, and the
team signs that it saw it. What leaves is a hash that holds fresh random bytes, and a number that
counts these exchanges: neither says how much was logged, or whether anything was.  # SPEC 17
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Self

from cairn_protocol.codec import UInt, refuse
from cairn_protocol.identity import SIGNATURE_BYTES, Identity, verify
from cairn_protocol.record import Many, Message, Record
from cairn_protocol.wire_types import UNSIGNED, Hash, Signature, Signed

NOT_CONTINUED: Final = bytes(32)  # `previous` of a first head, and of one behind a gap
Number = Annotated[int, UInt(4)]  # of an exchange, from 1


@dataclass(frozen=True)
class AuditReceipt(Record):
    """The team's word that the clinic showed this head, under this number, at this time.

    `at`: seconds since 1970 by the server's clock. The others are those of the `AuditHead`.
    """

    identity: Hash
    number: Number
    head: Hash
    previous: Hash
    at: Annotated[int, UInt(8)]
    signature: Signature

    def fault(self) -> str:
        return "" if self.number else "number counts from 1"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return self.body[:-SIGNATURE_BYTES]

    def genuine(self, team: bytes) -> bool:
        """Whether the team with this public key signed it."""
        return verify(team, "audit receipt", self.signed, self.signature)

    @classmethod
    def sign(cls, head: AuditHead, at: int, team: Identity) -> Self:
        """The team's receipt for `head`."""
        what = head.identity, head.number, head.head, head.previous, at
        return cls(*what, team.sign("audit receipt", cls(*what, UNSIGNED).signed))


@dataclass(frozen=True)
class AuditRequest(Message):
    """Asks for the head under `number`; `receipt` is the newest that the team signed, if any.

    With the receipt for that same number it is handed over, and the same head is shown again.
    """

    kind: ClassVar[int] = 16

    number: Number
    receipt: Annotated[tuple[AuditReceipt, ...], Many(AuditReceipt, 1)]

    def fault(self) -> str:
        if not self.number:
            return "number counts from 1"
        if any(self.number - receipt.number not in (0, 1) for receipt in self.receipt):
            return "receipt must be of this number or of the one before"
        return ""


@dataclass(frozen=True)
class AuditHead(Signed):
    """A clinic's word that its audit log, once, ended in `head`.

    Args:
        previous: the head under the number before, if this log holds it; else zeros.
        last: the highest number under which this clinic has shown a head.
    """

    kind: ClassVar[int] = 17

    identity: Hash
    number: Number
    head: Hash
    previous: Hash
    last: Number
    signature: Signature

    def fault(self) -> str:
        return "" if 0 < self.number <= self.last else "number must lie between 1 and last"


@dataclass(frozen=True)
class Shown:
    """What a clinic's log says of the heads that it has shown.

    Args:
        newest: the highest number, of a head or of a gap; 0: none.
        heads: those that lie in the log, by number.
        receipted: whether it keeps the receipt under `newest`.
    """

    newest: int
    heads: Mapping[int, bytes]
    receipted: bool


@dataclass(frozen=True)
class Due:
    """What a request asks of the log: a `new` head, or the one that was shown under its number.

    `gap`: the log lacks what the receipt says was in it, which is written down first.
    """

    new: bool
    gap: bool


def due(request: AuditRequest, shown: Shown, *, team: bytes, identity: bytes) -> Due:
    """What the clinic with this public key owes a request, by the keys it knows.  # SPEC 17.3

    Raises:
        PeerFault: `peer.receipt-forged`, `peer.receipt-missing`, `peer.audit-gap`.
    """
    newest, receipted, gap = shown.newest, shown.receipted, False
    for receipt in request.receipt:
        if receipt.identity != identity or not receipt.genuine(team):
            refuse("receipt-forged", "a receipt is not this clinic's, or not signed by its team")
        gap = shown.heads.get(receipt.number) != receipt.head
        if receipt.number >= newest:
            newest, receipted = receipt.number, True
    if request.number <= newest:
        handed_over = gap and request.number == request.receipt[0].number
        if handed_over or request.number not in shown.heads:
            refuse("audit-gap", "this clinic's audit log lacks the head that it once showed")
        return Due(new=False, gap=gap)
    if request.number > newest + 1 or (newest and not receipted):
        refuse("receipt-missing", "the receipt under the number before was not shown")
    return Due(new=True, gap=gap)


def countersigned(
    request: AuditRequest,
    reply: AuditHead,
    *,
    identity: bytes,
    last: AuditReceipt | None,
    at: int,
    team: Identity,
) -> AuditReceipt:
    """The team's receipt for what the clinic with this public key replied.  # SPEC 17.4

    Args:
        last: the newest receipt that the team signed for this clinic.
        at: seconds since 1970.

    Raises:
        PeerFault: `peer.audit-forged`, `peer.audit-differs`.
    """
    signed = verify(identity, "audit head", reply.signed, reply.signature)
    if reply.identity != identity or not signed:
        refuse("audit-forged", "the clinic did not sign the head of its audit log")
    if reply.number != request.number:
        refuse("audit-differs", "the clinic showed its audit log under another number")
    if last is not None and reply.number == last.number:
        if (reply.head, reply.previous) != (last.head, last.previous):
            refuse("audit-differs", "the clinic showed another audit log than before")
        return last
    before = last.head if last else NOT_CONTINUED
    if reply.previous not in (before, NOT_CONTINUED):
        refuse("audit-differs", "the clinic's audit log continues one that it never showed")
    return AuditReceipt.sign(reply, at, team)


def broken_off(receipt: AuditReceipt) -> bool:
    """Whether the clinic's log did not hold what it had shown before: restored, or begun anew."""
    return receipt.number > 1 and receipt.previous == NOT_CONTINUED
