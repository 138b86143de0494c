"""`Decisions`: what people have decided about a study, in order, and where that leaves it.

E1  An approval is of one study and one roster, both named by digest. Under another roster it
    says nothing.
E2  Where two approvals are needed, they are those of two accounts, for the same roster, with
    nothing else decided in between. Until then the study stands as offered.
E3  A refusal, a pause or leaving is one person's, and holds at once.
E4  A study that was left stays left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from cairn_client.keeper_state import StandingState


@dataclass(frozen=True)
class Decision:
    """What a person at the clinic decided about a study, under which roster (a digest).

    `account` says whether they had signed in to do so.
    """

    state: StandingState
    roster: bytes
    person: str
    at: str
    account: bool = False


@dataclass(frozen=True)
class Decisions:
    """`taken`, oldest first, where `needed` different people have to approve."""

    taken: tuple[Decision, ...] = ()
    needed: int = 1

    @property
    def last(self) -> Decision | None:
        """The last one."""
        return self.taken[-1] if self.taken else None

    @property
    def left(self) -> bool:
        """Whether the clinic left the study (E4)."""
        return any(decision.state == "left" for decision in self.taken)

    def approved_by(self, roster: bytes) -> tuple[str, ...]:
        """Who approves the study under this roster, in order; each person once."""
        if self.left:
            return ()

        def is_one(decision: Decision) -> bool:
            return (decision.state, decision.roster) == ("approved", roster)  # E1

        standing = takewhile(is_one, reversed(self.taken))
        people = [d.person for d in standing if d.account or self.needed == 1]  # E2
        return tuple(dict.fromkeys(reversed(people)))

    def standing(self, roster: bytes) -> StandingState:
        """How the study stands under this roster."""
        if self.left:
            return "left"
        if self.last is None:
            return "offered"
        if self.last.state != "approved":
            return self.last.state
        return "approved" if len(self.approved_by(roster)) >= self.needed else "offered"

    def approved_roster(self) -> bytes | None:
        """The roster under which the study is approved; None: under none."""
        if self.last is None or self.standing(self.last.roster) != "approved":
            return None
        return self.last.roster
