"""`LeavingAdmin`: leaving.proto's Leaving: a study, or a whole research team, is left for good.

The decision is on disk first; from then on no reply of the study leaves. Then keys are erased and
kept replies dropped, as soon as the answer at hand has ended. A keeper that is killed in between
has no keys at its next start, and drops the replies then.
"""

from __future__ import annotations

from typing import Final

from cairn_client.enrolment import forget_team
from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_client.reviewers import Decider, Reviewers
from cairn_client.store_offers import Offered, left_study, unknown_study
from cairn_client.study_view import study_line
from cairn_client.turn import Turn
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.proto import leaving_pb2 as pb

SERVICE: Final = "cairn.keeper.v1.Leaving"


class LeavingAdmin:
    """The methods; each takes a request and returns its reply.

    Args:
        turn: held while a request is answered.
    """

    def __init__(
        self, keeper: Keeper, store: KeeperStore, reviewers: Reviewers, turn: Turn
    ) -> None:
        self._keeper, self._store = keeper, store
        self._reviewers, self._turn = reviewers, turn

    def drop_left(self) -> None:
        """Drops what a crash has kept of studies that were left."""
        for offered in self._store.offers():
            if offered.decisions.left:
                self._store.drop_replies(offered.signed.digest)

    def study(self, request: pb.LeaveStudyRequest) -> pb.LeaveStudyReply:
        """Leaves one study.

        Raises:
            InputError: no digest.
            PolicyRefusal: never offered, left before, or nobody signed in.
        """
        try:
            digest = bytes.fromhex(request.study)
        except ValueError:
            raise InputError("a digest is hexadecimal", code="digest") from None
        decider = self._reviewers.decider(request.session, request.person)
        offered = self._store.offered(digest)
        if offered is None:
            raise unknown_study()
        if offered.decisions.left:
            raise left_study()
        runs = self._leave([offered], decider)
        left = self._store.offered(digest) or offered
        return pb.LeaveStudyReply(line=study_line(left, self._store.verified()), runs=runs)

    def team(self, request: pb.LeaveTeamRequest) -> pb.LeaveTeamReply:
        """Leaves every study that was offered, and forgets the team's key.

        Raises:
            PolicyRefusal: no team, another one, or nobody signed in.
        """
        decider = self._reviewers.decider(request.session, request.person)
        team = self._keeper.team()
        if team is None or fingerprint(team) != request.team:
            raise PolicyRefusal(
                "this clinic does not belong to that research team",
                code="team-unknown",
                hint="`cairn clinic status` shows to which it belongs",
            )
        remaining = [o for o in self._store.offers() if not o.decisions.left]
        runs = self._leave(remaining, decider)
        forget_team(self._keeper.clinic)
        self._store.forget_team()
        verified = self._store.verified()
        lines = [study_line(offered, verified) for offered in self._store.offers()]
        return pb.LeaveTeamReply(studies=lines, runs=runs)

    def _leave(self, studies: list[Offered], decider: Decider) -> int:
        """How many runs had keys."""
        for offered in studies:
            study, roster = offered.signed.digest, offered.roster.roster.digest
            self._store.decide(study, roster, "left", decider.name, account=decider.account)
            self._store.drop_replies(study)
        with self._turn:
            return sum(self._keeper.give_up(offered.signed.digest) for offered in studies)
