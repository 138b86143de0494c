"""`TeamPost`: what a research team sends outside a run, and what a clinic signs in return.

Offer ─▶ Standing          kept for people to decide on
Findings ─▶ Received       kept sealed, if this clinic stands by the study
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cairn_client.keeper_state import KeeperState
from cairn_protocol.codec import refuse
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import Identity
from cairn_protocol.messages import Findings, Offer, Received, Standing
from cairn_protocol.wire_types import UNSIGNED


class KeepsFindings(Protocol):
    """Where findings go; `findings_desk.FindingsDesk` is it."""

    def keep(self, message: Findings, team: bytes) -> None:
        """Keeps what `team` must have signed.

        Raises:
            PeerFault, PolicyRefusal: it is not kept.
        """
        ...


class TeamPost:
    """Answers `Offer` and `Findings`.

    Args:
        team: the research team's key; None before the clinic joined.
        findings: None where none are taken, as in an engine in which one person plays every part.
    """

    def __init__(
        self,
        identity: Identity,
        state: KeeperState,
        team: Callable[[], bytes | None],
        findings: KeepsFindings | None,
    ) -> None:
        self._identity, self._state, self._team = identity, state, team
        self._findings = findings

    def answer(self, message: Offer | Findings) -> Standing | Received:
        """What this clinic says to it.

        Raises:
            PeerFault: forged, or of another study than it says.
            PolicyRefusal: this clinic does not take it.
        """
        team = self._team()
        if team is None:
            raise PolicyRefusal(
                "this clinic belongs to no research team yet",
                code="team-unknown",
                hint="the clinic runs `cairn clinic join` first",
            )
        if isinstance(message, Offer):
            return self._offer(message, team)
        if self._findings is None:
            raise PolicyRefusal("this clinic takes no findings", code="no-findings")
        self._findings.keep(message, team)
        unsigned = Received(message.study, message.digest, self._identity.public, UNSIGNED)
        return unsigned.with_signature(self._identity.sign("received", unsigned.signed))

    def _offer(self, message: Offer, team: bytes) -> Standing:
        study, roster = message.study.verified(team), message.roster.verified(team)
        if roster.study != study.digest:
            refuse("roster-foreign", "the roster is of another study")
        roster.index_of(self._identity.public)
        self._state.offer(message.study, message.roster)
        state = self._state.standing(study.digest, roster.digest) or "offered"
        unsigned = Standing(
            study=study.digest,
            roster=roster.digest,
            identity=self._identity.public,
            state="refused" if state == "left" else state,  # SPEC 5.13
            signature=UNSIGNED,
        )
        return unsigned.with_signature(self._identity.sign("standing", unsigned.signed))
