"""`Countersigned`: the clinic's side of SPEC 17, so that the team's receipts stand behind its log.

A head is the hash of the chain with an entry of 32 random bytes that is made for it. So the server
learns a number that it counted itself, and a hash that it can neither guess nor compare: not how
many entries there are, nor whether an import, a patient's page or a sign-in was among them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from cairn_client.audit_log.bounded import Bounded
from cairn_client.audit_log.kinds import event
from cairn_client.audit_log.log import AuditLog
from cairn_protocol.countersigning import NOT_CONTINUED, due
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import Identity
from cairn_protocol.messages import UNSIGNED, AuditHead, AuditRequest

MOST_A_DAY: Final = 300  # new heads and gaps; a server asks hourly, and after each run
NONCE_BYTES: Final = 32


class Countersigned:
    """Answers for the log of the clinic with this identity.

    Args:
        team: the public key of the team that the clinic joined; None before.
    """

    def __init__(
        self, audit: AuditLog, identity: Identity, team: Callable[[], bytes | None]
    ) -> None:
        self._audit, self._identity, self._team = audit, identity, team
        self._made = Bounded(MOST_A_DAY)

    def answer(self, request: AuditRequest) -> AuditHead:
        """The head under the number that is asked for, a new one where it is the next.

        Raises:
            PeerFault: SPEC 17.3 refuses it.
            PolicyRefusal: no team is known, or too many heads were asked for today.
        """
        team = self._team()
        if team is None:
            raise PolicyRefusal(
                "this clinic belongs to no research team yet",
                code="team-unknown",
                hint="the clinic runs `cairn clinic join` first",
            )
        shown = self._audit.shown()
        owed = due(request, shown, team=team, identity=self._identity.public)
        if owed.new or owed.gap:
            self._bound()
        for receipt in request.receipt:
            self._audit.keep_receipt(receipt)
            if owed.gap:
                name = f"gap:{receipt.number}:{receipt.head.hex()}"
                self._audit.append(
                    event("gap", once=name, number=receipt.number, head=receipt.head.hex())
                )
        if owed.new:
            nonce = secrets.token_hex(NONCE_BYTES)
            self._audit.append(event("head", number=request.number, nonce=nonce))
            shown = self._audit.shown()
        return self._signed(request.number, shown.heads[request.number], shown.newest)

    def _signed(self, number: int, head: bytes, last: int) -> AuditHead:
        before = self._audit.previous(number) or NOT_CONTINUED
        unsigned = AuditHead(
            self._identity.public, number, head, before, max(number, last), UNSIGNED
        )
        return unsigned.with_signature(self._identity.sign("audit head", unsigned.signed))

    def _bound(self) -> None:
        _, times, _ = self._made.count("heads")
        if times > MOST_A_DAY:
            raise PolicyRefusal(
                "the audit log was asked for too often today",
                code="audit-often",
                why=f"a clinic shows it at most {MOST_A_DAY} times a day",
                hint="ask again tomorrow",
            )
