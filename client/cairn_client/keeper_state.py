"""`KeeperState`: what a keeper must not forget, and `Memory`, which forgets it with the process.

`KeeperStore` keeps it on disk between real machines; the embedded engine, where every party lives
and ends with one process, uses `Memory`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, Protocol

from cairn_protocol.codec import Fixed, UInt
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.mark import BOOT_BYTES, Mark
from cairn_protocol.progress import NOTHING, Progress
from cairn_protocol.record import Nested, Record
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy

StandingState = Literal["offered", "approved", "refused", "paused", "left"]


@dataclass(frozen=True)
class Approval:
    """What this clinic's people said yes to: a team's key, a study, and the roster that they saw.

    `roster` is a digest; None takes the first roster that the team signs.
    """

    team: bytes
    roster: bytes | None
    study: SignedStudy


@dataclass(frozen=True)
class Place(Record):
    """Where a run stands at this clinic.

    `study` is a digest, `clinic` the index on the run's roster, `question` the place in the study
    of the question that `progress` names (0 before the first). `roster` is a digest; zero where
    an earlier keeper did not write it down.
    """

    label: ClassVar[str] = "place"

    study: Annotated[bytes, Fixed(32)]
    clinic: Annotated[int, UInt(2)]
    progress: Annotated[Progress, Nested(Progress)]
    question: Annotated[int, UInt(2)] = 0
    roster: Annotated[bytes, Fixed(32)] = NOTHING  # last: `store_schema` adds it to older places

    def check_follows(self, earlier: Place | None) -> None:
        """Refuses to move a run back, or to answer one header twice.

        Raises:
            OurFault: `internal.place-past`.
        """
        if earlier is not None and not self._follows(earlier):
            raise OurFault(
                "a run would have been set back",
                code="place-past",
                why="what was written down of it lies further on",
                hint="report this with the keeper's log; nothing was sent",
            )

    def keeps_replies_of(self, earlier: Place) -> bool:
        """Whether what was answered at `earlier` may be asked again: same header, same roster."""
        there = earlier.progress.header, earlier.roster
        return (self.progress.header, self.roster) == there

    def _follows(self, earlier: Place) -> bool:
        here, there = self.progress, earlier.progress
        if (here.run, self.study, self.clinic) != (there.run, earlier.study, earlier.clinic):
            return False
        if here.setup < there.setup or self._step < earlier._step:
            return False
        if self._step > earlier._step:
            return True
        before = (there.header, there.answer, there.survivors)
        after = (here.header, here.answer, here.survivors)
        return all(old in (NOTHING, new) for old, new in zip(before, after, strict=True))

    @property
    def _step(self) -> tuple[int, bool, int, int]:
        at = self.progress
        return self.question, bool(at.question), at.round, at.attempt


class KeeperState(Protocol):
    """Everything is durable before a method returns, as far as the implementation is."""

    @property
    def epoch(self) -> int:
        """Number of the keeper's boot; roots live no longer than one."""
        ...

    @property
    def boot(self) -> bytes:
        """16 random bytes of this boot: a copied machine has the same count, and others."""
        ...

    def marks(self, identities: Collection[bytes]) -> Mapping[bytes, Mark]:
        """The newest mark that was kept of each of these identities, where there is one."""
        ...

    def keep_marks(self, marks: Collection[Mark]) -> None:
        """Keeps marks, each in place of an earlier one of its identity; older ones are let go.

        Records of rounds that this clinic missed show marks from before those of the packages.
        """
        ...

    def verified(self, roster: Roster | None = None) -> frozenset[bytes] | None:
        """Public keys that count as verified, this clinic's own included; None: not counted.

        They are of the rosters that were offered last, and of `roster`.
        """
        ...

    def roster(self, study: bytes) -> Roster | None:
        """The roster that was offered last for the study with this digest."""
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

    def runs(self, study: bytes) -> int:
        """How many runs of a study have a place here."""
        ...

    def keep(self, place: Place, request: bytes = b"", reply: bytes = b"") -> None:
        """Moves a run to `place`; `reply` answers the request with this digest from now on.

        The replies under one header are kept together, and go when `place` names the next, or
        another roster.

        Raises:
            OurFault: `internal.place-past`, the run stands further on already.
        """
        ...

    def end(self, place: Place, request: bytes, reply: bytes) -> None:
        """Keeps the last reply of a run; every other reply of it goes."""
        ...

    def reply(self, run: bytes, request: bytes) -> bytes | None:
        """The reply that was kept for the request with this digest, or None."""
        ...

    def drop_replies(self, study: bytes) -> None:
        """Lets every kept reply of the study's runs go; their places stay."""
        ...

    def close(self) -> None:
        """Releases what is held."""
        ...


def newer(marks: Collection[Mark], known: Mapping[bytes, Mark]) -> dict[bytes, Mark]:
    """Those of `marks` that follow what is `known` of their identity, by identity."""
    found = dict(known)
    for mark in marks:
        earlier = found.get(mark.identity)
        if earlier is None or mark.follows(earlier):
            found[mark.identity] = mark
    return found


@dataclass
class Memory:
    """A keeper's state for one process."""

    epoch: int = 0
    boot: bytes = field(default_factory=lambda: os.urandom(BOOT_BYTES))
    approvals: dict[bytes, Approval] = field(default_factory=dict)
    places: dict[bytes, Place] = field(default_factory=dict)
    replies: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    known: dict[bytes, Mark] = field(default_factory=dict)

    def marks(self, identities: Collection[bytes]) -> Mapping[bytes, Mark]:
        return {key: self.known[key] for key in identities if key in self.known}

    def keep_marks(self, marks: Collection[Mark]) -> None:
        self.known = newer(marks, self.known)

    def verified(self, roster: Roster | None = None) -> frozenset[bytes] | None:
        """None: nobody is counted.

        All clinics of the embedded engine are folders of the one person who runs it. There is
        nobody whom they could telephone, and no stranger who could have been put on the roster.
        """
        return None

    def roster(self, study: bytes) -> Roster | None:
        return None

    def approval(self, study: bytes) -> Approval | None:
        return self.approvals.get(study)

    def standing(self, study: bytes, roster: bytes) -> StandingState | None:
        return "approved" if study in self.approvals else None

    def offer(self, study: SignedStudy, roster: SignedRoster) -> None:
        raise PolicyRefusal("this clinic takes no offers", code="no-offers")

    def approve(self, study: SignedStudy) -> None:
        self.approvals[study.digest] = Approval(study.team, None, study)

    def team(self) -> bytes | None:
        return None

    def pin_team(self, public: bytes) -> None:
        """No offers are taken, so no team is asked for."""

    def place(self, run: bytes) -> Place | None:
        return self.places.get(run)

    def runs(self, study: bytes) -> int:
        return sum(place.study == study for place in self.places.values())

    def keep(self, place: Place, request: bytes = b"", reply: bytes = b"") -> None:
        run = place.progress.run
        earlier = self.places.get(run)
        place.check_follows(earlier)
        if earlier is None or not place.keeps_replies_of(earlier):
            self.replies[run] = {}
        self.places[run] = place
        if reply:
            self.replies[run][request] = reply

    def end(self, place: Place, request: bytes, reply: bytes) -> None:
        self.keep(place)
        self.replies[place.progress.run] = {request: reply}

    def reply(self, run: bytes, request: bytes) -> bytes | None:
        return self.replies.get(run, {}).get(request)

    def drop_replies(self, study: bytes) -> None:
        for run, place in self.places.items():
            if place.study == study:
                self.replies[run] = {}

    def close(self) -> None:
        """Nothing is held."""
