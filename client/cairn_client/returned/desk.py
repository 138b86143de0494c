"""`FindingsDesk`: takes in what a research team gives back, if it is what it says it is.

F1  The team's signature holds, for the team that this clinic joined.
F2  The study was offered here, and this clinic approves it now or has paused it: whoever refused
    or left gets nothing.
F3  It is within the protocol's bounds, and parses to the answers of that very study.
F4  What is kept is sealed; another file of the same study is a version of its own.
"""

from __future__ import annotations

from typing import Final

from cairn_client.keeper_store import KeeperStore
from cairn_client.returned.findings_store import FindingsStore
from cairn_client.returned.pooled import Pooled
from cairn_client.store_offers import unknown_study
from cairn_protocol.codec import refuse
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import verify
from cairn_protocol.messages import Findings

STANDS_BY: Final = ("approved", "paused")


class FindingsDesk:
    """Keeps findings in `kept`; `offers` says which studies this clinic stands by."""

    def __init__(self, offers: KeeperStore, kept: FindingsStore) -> None:
        self._offers = offers
        self._kept = kept

    def keep(self, message: Findings, team: bytes) -> None:
        """Keeps `message`, which `team` must have signed; the same again changes nothing.

        Raises:
            PeerFault: F1 or F3.
            PolicyRefusal: F2, or too many versions.
        """
        if not verify(team, "findings", message.signed, message.signature):  # F1
            refuse("findings-forged", "the findings are not signed by this clinic's research team")
        offered = self._offers.offered(message.study)
        if offered is None:
            raise unknown_study()
        if offered.state not in STANDS_BY:  # F2
            raise PolicyRefusal(
                "this clinic does not stand by the study, and takes nothing from it",
                code="findings-unwanted",
            )
        Pooled.of(message, offered.signed.study())  # F3
        self._kept.keep(message)  # F4
