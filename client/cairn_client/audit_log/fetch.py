"""`fetched`: the whole log from a clinic's keeper, as the text of an export; it was checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from cairn_client.audit_log.export import Whose, verified, written
from cairn_protocol.proto import audit_pb2 as pb

ReplyT = TypeVar("ReplyT", bound=Message)


class Ask(Protocol):
    """Calls a method of audit.proto's Audit."""

    def __call__(self, method: str, request: Message, reply: type[ReplyT], /) -> ReplyT: ...


def fetched(ask: Ask) -> str:
    """The export; the keeper's word is checked like anybody's.

    Raises:
        LogAltered: the keeper's log does not hold together.
    """
    receipts = list(_receipts(ask))  # first: the entries then hold every head that these are for
    entries = [(entry.body, entry.hash) for entry in _entries(ask)]
    standing = ask("AuditLog", pb.AuditLogRequest(limit=1), pb.AuditLogReply).standing
    whose = Whose(standing.clinic, bytes.fromhex(standing.identity))
    text = "".join(written(whose, entries, receipts))
    verified(text)
    return text


def _entries(ask: Ask) -> Iterator[pb.AuditEntry]:
    after = 0
    while True:
        reply = ask("AuditLog", pb.AuditLogRequest(after=after), pb.AuditLogReply)
        if not reply.entries:
            return
        yield from reply.entries
        after = reply.entries[-1].number


def _receipts(ask: Ask) -> Iterator[bytes]:
    after = 0
    while True:
        request = pb.AuditReceiptsRequest(after=after)
        receipts = ask("AuditReceipts", request, pb.AuditReceiptsReply).receipts
        if not receipts:
            return
        yield from receipts
        after += len(receipts)
