"""`OfferStore`: the research team, the studies that it offered, and what people decided on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from cairn_client.keeper_state import Approval, StandingState
from cairn_client.store_base import StoreBase, now
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.roster import SignedRoster, check_successor
from cairn_protocol.signed_study import SignedStudy

MOST_OFFERS: Final = 500  # each is signed by the pinned team; a disk is finite all the same


@dataclass(frozen=True)
class Decision:
    """What a person at the clinic decided about a study, under which roster (a digest)."""

    state: StandingState
    roster: bytes
    person: str
    at: str


@dataclass(frozen=True)
class Offered:
    """A study that the team offered, the newest roster for it, and the last decision, if any."""

    signed: SignedStudy
    roster: SignedRoster
    at: str
    decision: Decision | None

    @property
    def state(self) -> StandingState:
        """How it stands with its newest roster."""
        return _standing(self.decision, self.roster.roster.digest)


class OfferStore(StoreBase):
    """Team, offers, decisions. A team's key is pinned once; decisions are never changed (S3)."""

    def team(self) -> bytes | None:
        """The research team's public key, or None before the clinic joined."""
        return self._fact("team")

    def pin_team(self, public: bytes) -> None:
        """Pins the research team's key; the same again changes nothing.

        Raises:
            PolicyRefusal: another key is pinned.
        """
        with self._writing():
            known = self._fact("team")
            if known is not None and known != public:
                raise PolicyRefusal(
                    "this clinic belongs to another research team",
                    code="team-pinned",
                    why=f"it knows {fingerprint(known)}, and was shown {fingerprint(public)}",
                    hint="use a folder of its own for each team; compare the fingerprints with "
                    "the team, by telephone",
                )
            self._set("team", public)

    def offer(self, study: SignedStudy, roster: SignedRoster) -> None:
        """Remembers an offer whose signatures were checked; the same again changes nothing.

        Raises:
            PeerFault: the roster does not follow from the one that was offered before.
            PolicyRefusal: too many offers lie here.
        """
        with self._writing():
            known = self.offered(study.digest)
            if known is not None:
                check_successor(known.roster.roster, roster.roster)
                if known.roster.roster.digest == roster.roster.digest:
                    return
            else:
                (count,) = self._one("SELECT count(*) FROM offers")
                if count >= MOST_OFFERS:
                    raise PolicyRefusal(
                        "this clinic has too many offers already", code="too-many-offers"
                    )
            self._database.execute(
                "INSERT OR REPLACE INTO offers VALUES (?, ?, ?, ?)",
                (study.digest, study.body, roster.body, now()),
            )

    def offered(self, study: bytes) -> Offered | None:
        """The offer of the study with this digest."""
        with self._reading():
            row = self._one("SELECT signed, roster, at FROM offers WHERE study = ?", study)
            return None if row is None else self._offered(study, row)

    def offers(self) -> tuple[Offered, ...]:
        """Every offer, oldest first."""
        with self._reading():
            rows = self._database.execute(
                "SELECT study, signed, roster, at FROM offers ORDER BY at, study"
            ).fetchall()
            return tuple(self._offered(study, rest) for study, *rest in rows)

    def _offered(self, study: bytes, row: Any) -> Offered:
        signed, roster, at = row
        return Offered(
            SignedStudy.from_body(signed), SignedRoster.from_body(roster), at, self.decision(study)
        )

    def decide(self, study: bytes, roster: bytes, state: StandingState, person: str) -> None:
        """Appends a decision on an offer, taken with the roster of this digest in view.

        Raises:
            PolicyRefusal: never offered, or the roster has changed since it was looked at.
        """
        if state not in get_args(StandingState):
            raise OurFault("this is no decision", code="decision")
        with self._writing():
            known = self.offered(study)
            if known is None:
                raise unknown_study()
            if known.roster.roster.digest != roster:
                raise PolicyRefusal(
                    "the roster has changed since you looked",
                    code="roster-changed",
                    hint="look at the study again, then decide",
                )
            self._database.execute(
                "INSERT INTO decisions (study, roster, state, person, at) VALUES (?, ?, ?, ?, ?)",
                (study, roster, state, person, now()),
            )

    def decision(self, study: bytes) -> Decision | None:
        """The last decision about a study."""
        with self._reading():
            row = self._one(
                "SELECT state, roster, person, at FROM decisions WHERE study = ? "
                "ORDER BY number DESC LIMIT 1",
                study,
            )
            return None if row is None else Decision(cast(StandingState, row[0]), *row[1:])

    def standing(self, study: bytes, roster: bytes) -> StandingState | None:
        """How the study stands with this roster; None: it was never offered."""
        if self.offered(study) is None:
            return None
        return _standing(self.decision(study), roster)

    def approval(self, study: bytes) -> Approval | None:
        """The standing approval, pinned to the roster that was in view."""
        decision, team = self.decision(study), self.team()
        if decision is None or decision.state != "approved" or team is None:
            return None
        return Approval(team, decision.roster)

    def approve(self, study: SignedStudy) -> None:
        raise OurFault("an approval here needs an offer", code="approval-without-offer")


def _standing(decision: Decision | None, roster: bytes) -> StandingState:
    """An approval holds for the roster that was in view; another one has to be looked at."""
    if decision is None or (decision.state == "approved" and decision.roster != roster):
        return "offered"
    return decision.state


def unknown_study() -> PolicyRefusal:
    """The refusal where nobody offered the study."""
    return PolicyRefusal(
        "no such study was offered to this clinic",
        code="study-unknown",
        hint="`cairn clinic offers` lists those that were",
    )
