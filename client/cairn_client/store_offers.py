"""`OfferStore`: the research team, the studies that it offered, and what people decided on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast, get_args

from cairn_client.decisions import Decision, Decisions
from cairn_client.keeper_state import Approval, StandingState
from cairn_client.store_base import StoreBase, now
from cairn_protocol.errors import OurFault, PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.roster import Roster, SignedRoster, check_successor
from cairn_protocol.signed_study import SignedStudy

MOST_OFFERS: Final = 500  # each is signed by the pinned team; a disk is finite all the same


@dataclass(frozen=True)
class Offered:
    """A study that the team offered, the newest roster for it, and what was decided."""

    signed: SignedStudy
    roster: SignedRoster
    at: str
    decisions: Decisions = field(default_factory=Decisions)

    @property
    def decision(self) -> Decision | None:
        """The last decision, if any."""
        return self.decisions.last

    @property
    def state(self) -> StandingState:
        """How it stands with its newest roster."""
        return self.decisions.standing(self.roster.roster.digest)

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Who approves it with its newest roster; fewer than are needed leave it as offered."""
        return self.decisions.approved_by(self.roster.roster.digest)


class OfferStore(StoreBase):
    """Team, offers, decisions. A team's key is pinned once; decisions are never changed (S3).

    `approvals_needed` says how many different people a study needs, whenever it is looked at.
    """

    approvals_needed: Callable[[], int] = staticmethod(lambda: 1)

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

    def forget_team(self) -> None:
        """Lets the team's key go, once every study of its was left; another may be pinned."""
        with self._writing():
            self._database.execute("DELETE FROM facts WHERE name = 'team'")

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

    def roster(self, study: bytes) -> Roster | None:
        """The roster that was offered last for the study with this digest."""
        with self._reading():
            row = self._one("SELECT roster FROM offers WHERE study = ?", study)
            return None if row is None else SignedRoster.from_body(row[0]).roster

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
            SignedStudy.from_body(signed),
            SignedRoster.from_body(roster),
            at,
            self.decisions(study),
        )

    def decide(
        self,
        study: bytes,
        roster: bytes,
        state: StandingState,
        person: str,
        *,
        account: bool = False,
    ) -> None:
        """Appends a decision on an offer, taken with the roster of this digest in view.

        Args:
            account: `person` has signed in.

        Raises:
            PolicyRefusal: never offered, left, or the roster has changed since it was looked at.
        """
        if state not in get_args(StandingState):
            raise OurFault("this is no decision", code="decision")
        with self._writing():
            known = self.offered(study)
            if known is None:
                raise unknown_study()
            if known.decisions.left:
                raise left_study()
            if known.roster.roster.digest != roster:
                raise PolicyRefusal(
                    "the roster has changed since you looked",
                    code="roster-changed",
                    hint="look at the study again, then decide",
                )
            self._database.execute(
                "INSERT INTO decisions (study, roster, state, person, at, account) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (study, roster, state, person, now(), account),
            )

    def decisions(self, study: bytes) -> Decisions:
        """All that was decided about a study."""
        with self._reading():
            rows = self._database.execute(
                "SELECT state, roster, person, at, account FROM decisions WHERE study = ? "
                "ORDER BY number",
                (study,),
            ).fetchall()
        taken = tuple(
            Decision(cast(StandingState, state), roster, person, at, bool(account))
            for state, roster, person, at, account in rows
        )
        return Decisions(taken, self.approvals_needed())

    def standing(self, study: bytes, roster: bytes) -> StandingState | None:
        """How the study stands with this roster; None: it was never offered."""
        known = self.offered(study)
        return None if known is None else known.decisions.standing(roster)

    def approval(self, study: bytes) -> Approval | None:
        """The standing approval, pinned to the roster that was in view."""
        known, team = self.offered(study), self.team()
        if known is None or team is None:
            return None
        roster = known.decisions.approved_roster()
        return None if roster is None else Approval(team, roster, known.signed)

    def approve(self, study: SignedStudy) -> None:
        raise OurFault("an approval here needs an offer", code="approval-without-offer")


def unknown_study() -> PolicyRefusal:
    """The refusal where nobody offered the study."""
    return PolicyRefusal(
        "no such study was offered to this clinic",
        code="study-unknown",
        hint="`cairn clinic offers` lists those that were",
    )


def left_study() -> PolicyRefusal:
    """The refusal where the clinic left the study."""
    return PolicyRefusal(
        "this clinic has left the study",
        code="study-left",
        why="leaving is final",
        hint="the research team may sign and offer another study, with a name of its own",
    )
