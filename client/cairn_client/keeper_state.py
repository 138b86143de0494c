"""`KeeperState`: what a keeper must not forget, and `Memory`, which forgets it with the process.

`KeeperStore` keeps it on disk between real machines; the embedded engine, where every party lives
and ends with one process, uses `Memory`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.progress import Progress
from cairn_protocol.roster import SignedRoster
from cairn_protocol.signed_study import SignedStudy

StandingState = Literal["offered", "approved", "refused", "paused"]


@dataclass(frozen=True)
class Approval:
    """What this clinic's people said yes to: a team's key, and the roster that they saw.

    `roster` is a digest; None takes the first roster that the team signs.
    """

    team: bytes
    roster: bytes | None = None


@dataclass(frozen=True)
class Place:
    """Where a run stands at this clinic. `clinic` is its index on the run's roster."""

    study: bytes
    clinic: int
    progress: Progress


class KeeperState(Protocol):
    """Everything is durable before a method returns, as far as the implementation is."""

    @property
    def epoch(self) -> int:
        """Number of the keeper's boot; roots live no longer than one."""
        ...

    def approval(self, study: bytes) -> Approval | None:
        """The standing approval of the study with this digest."""
        ...

    def standing(self, study: bytes, roster: bytes) -> StandingState | None:
        """How the study stands with this roster; None: it was never offered."""
        ...

    def offer(self, study: SignedStudy, roster: SignedRoster) -> None:
        """Remembers an offer whose signatures were checked.

        Raises:
            PeerFault: the roster does not follow from the one that was offered before.
        """
        ...

    def approve(self, study: SignedStudy) -> None:
        """Approves without an offer: for engines in which one person plays every part."""
        ...

    def team(self) -> bytes | None:
        """The research team's public key, pinned when the clinic joined."""
        ...

    def pin_team(self, public: bytes) -> None:
        """Pins the research team's key.

        Raises:
            PolicyRefusal: another key is pinned.
        """
        ...

    def place(self, run: bytes) -> Place | None:
        """Where the run stands."""
        ...

    def keep(self, place: Place, request: bytes = b"", reply: bytes = b"") -> None:
        """Moves a run to `place`; `reply` answers the request with this digest from now on."""
        ...

    def reply(self, run: bytes, request: bytes) -> bytes | None:
        """The reply that was kept for the request with this digest, or None."""
        ...

    def close(self) -> None:
        """Releases what is held."""
        ...


@dataclass
class Memory:
    """A keeper's state for one process."""

    epoch: int = 0
    approvals: dict[bytes, Approval] = field(default_factory=dict)
    places: dict[bytes, Place] = field(default_factory=dict)
    replies: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)

    def approval(self, study: bytes) -> Approval | None:
        return self.approvals.get(study)

    def standing(self, study: bytes, roster: bytes) -> StandingState | None:
        return "approved" if study in self.approvals else None

    def offer(self, study: SignedStudy, roster: SignedRoster) -> None:
        raise PolicyRefusal("this clinic takes no offers", code="no-offers")

    def approve(self, study: SignedStudy) -> None:
        self.approvals[study.digest] = Approval(study.team)

    def team(self) -> bytes | None:
        return None

    def pin_team(self, public: bytes) -> None:
        """No offers are taken, so no team is asked for."""

    def place(self, run: bytes) -> Place | None:
        return self.places.get(run)

    def keep(self, place: Place, request: bytes = b"", reply: bytes = b"") -> None:
        run = place.progress.run
        self.places[run] = place
        if reply:
            self.replies[run] = (request, reply)

    def reply(self, run: bytes, request: bytes) -> bytes | None:
        known, reply = self.replies.get(run, (b"", b""))
        return reply if reply and known == request else None

    def close(self) -> None:
        """Nothing is held."""
