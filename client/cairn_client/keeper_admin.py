"""`KeeperAdmin`: what a clinic's own people may ask of their keeper; served on admin.sock only."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Final, cast

from cairn_client.charged import charged_blocks
from cairn_client.keeper import Keeper
from cairn_client.keeper_state import StandingState
from cairn_client.keeper_store import KeeperStore
from cairn_client.reviewers import Reviewers
from cairn_client.store_offers import Offered, unknown_study
from cairn_client.study_view import seconds, study_line, study_view
from cairn_privacy.accounting import epsilon_of_rho
from cairn_privacy.blocks import EVERYONE, Blocks
from cairn_privacy.ledger import Ledger
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.identity import PUBLIC_BYTES, fingerprint
from cairn_protocol.progress import NOTHING
from cairn_protocol.proto import keeper_pb2 as pb

DECISIONS: Final = ("approved", "refused", "paused")
LONGEST_NAME: Final = 100
TWO: Final = 2
LINKS_AT_ONCE: Final = 50_000  # of the ledger in one reply: some 20 MB


class KeeperAdmin:
    """The methods of keeper.proto's Admin; each takes a request and returns its reply."""

    def __init__(self, keeper: Keeper, store: KeeperStore, reviewers: Reviewers) -> None:
        self._keeper = keeper
        self._store = store
        self._reviewers = reviewers
        self._started = int(time.time())

    def status(self, _: pb.StatusRequest) -> pb.StatusReply:
        """How the clinic stands."""
        config, team = self._keeper.clinic.config, self._keeper.team()
        return pb.StatusReply(
            clinic=config.name,
            data=config.data,
            fingerprint=self._keeper.identity.fingerprint,
            team_fingerprint=fingerprint(team) if team else "",
            version=version("cairn-federated"),
            epoch=self._store.epoch,
            started_at=self._started,
            budget=self._budget(),
            studies=self.lines(),
            last=self._last(),
            registries=[
                f"{registry.name}  {fingerprint(registry.key)}"
                for registry in self._store.registries()
            ],
            stopped=self._stopped(),
        )

    def offers(self, _: pb.OffersRequest) -> pb.OffersReply:
        """Every study that was offered, oldest first."""
        return pb.OffersReply(studies=self.lines())

    def show(self, request: pb.ShowRequest) -> pb.StudyView:
        """One study, with all that a person needs to decide.

        Raises:
            PolicyRefusal: no such study was offered.
            InputError: more than one is called so.
        """
        offered = find(self._store.offers(), request.study)
        view = self._view(offered)
        if (budget := self._budget(charged_blocks(offered.signed.study()))) is not None:
            view.budget.CopyFrom(budget)
        return view

    def decide(self, request: pb.Decision) -> pb.StudyLine:
        """Records a decision on exactly the study and roster that the person saw.

        Raises:
            PolicyRefusal: never offered, the roster has changed, nobody signed in, or an approval
                of what this clinic could not answer.
        """
        try:
            study, roster = bytes.fromhex(request.study), bytes.fromhex(request.roster)
        except ValueError:
            raise InputError("a digest is hexadecimal", code="digest") from None
        if request.state not in DECISIONS:
            raise InputError("a decision is approved, refused or paused", code="decision")
        decider = self._reviewers.decider(request.session, request.person)
        state = cast(StandingState, request.state)
        if state == "approved":
            self._check_approvable(study, account=decider.account)
        self._store.decide(study, roster, state, decider.name, account=decider.account)
        offered = self._store.offered(study)
        if offered is None:
            raise unknown_study()
        return study_line(offered, self._store.verified())

    def _check_approvable(self, study: bytes, *, account: bool) -> None:
        offered = self._store.offered(study)
        if offered is None:
            raise unknown_study()
        view = self._view(offered)
        if view.obstacle:
            raise unanswerable(view.obstacle, view.remedy)
        if self._reviewers.approvals() >= TWO and not account:
            raise PolicyRefusal(
                "two approvals are those of two accounts, and this clinic has none",
                code="accounts-needed",
                why="policy.toml asks for approvals = 2",
                hint="make them with `cairn clinic reviewer add NAME`",
            )

    def _view(self, offered: Offered) -> pb.StudyView:
        keeper = self._keeper
        members = self._store.members()
        return study_view(
            offered, keeper.clinic, keeper.identity.public, members, rules=keeper.rules
        )

    def pin_team(self, request: pb.PinTeamRequest) -> pb.PinTeamReply:
        """Pins the research team's key; once in the clinic's life.

        Raises:
            PolicyRefusal: another team's is pinned.
        """
        if len(request.public) != PUBLIC_BYTES:
            raise InputError(f"a team's key has {PUBLIC_BYTES} bytes", code="team-key")
        self._store.pin_team(request.public)
        return pb.PinTeamReply(fingerprint=fingerprint(request.public))

    def export(self, request: pb.LedgerRequest) -> pb.LedgerReply:
        """The next part of the ledger; empty before the first study about patients."""
        ledger = self._keeper.open_ledger_if_any()
        lines = ledger.export(request.after, LINKS_AT_ONCE) if ledger else ""
        return pb.LedgerReply(lines=lines)

    def lines(self) -> list[pb.StudyLine]:
        """Every study that was offered, in one line each, oldest first."""
        verified = self._store.verified()
        return [study_line(offered, verified) for offered in self._store.offers()]

    def _stopped(self) -> str:
        try:
            self._keeper.mark.check()
        except PolicyRefusal as error:
            return f"{error}; {error.hint}"
        return ""

    def _budget(self, blocks: Blocks = EVERYONE) -> pb.Budget | None:
        ledger = self._keeper.open_ledger_if_any()
        return None if ledger is None else budget(ledger, blocks)

    def _last(self) -> pb.LastRound | None:
        last = self._store.last()
        if last is None:
            return None
        place, at = last
        here = place.progress
        return pb.LastRound(
            study=place.study.hex(),
            question=here.question,
            round=here.round,
            attempt=here.attempt,
            answered=here.answer != NOTHING,
            at=seconds(at),
        )


def budget(ledger: Ledger, blocks: Blocks = EVERYONE) -> pb.Budget:
    """What was spent on the most charged of these patients, and what is left for all of them."""
    spent, left, terms = ledger.spent(blocks=blocks), ledger.left(blocks=blocks), ledger.terms
    return pb.Budget(
        spent_epsilon=epsilon_of_rho(spent, terms.delta) if spent else 0.0,
        cap_epsilon=epsilon_of_rho(spent + left, terms.delta),
        delta=terms.delta,
        left_share=left / (spent + left) if spent + left > 0 else 0.0,
        releases=len(ledger.entries()),
    )


def unanswerable(obstacle: str, remedy: str) -> PolicyRefusal:
    """The refusal to approve what could not be answered."""
    return PolicyRefusal(
        "this clinic could not answer the study",
        code="study-unanswerable",
        why=obstacle,
        hint=remedy or "the research team has to change it, or this clinic its clinic.toml",
    )


def find(offers: tuple[Offered, ...], wanted: str) -> Offered:
    """The one that is called `wanted`, or whose digest begins so.

    Raises:
        PolicyRefusal: no such study was offered.
        InputError: more than one is called so.
    """
    found = [o for o in offers if wanted and o.signed.digest.hex().startswith(wanted)]
    found = found or [o for o in offers if o.signed.study().name == wanted]
    if not found:
        raise unknown_study()
    if len(found) > 1:
        raise InputError(
            f"{len(found)} studies are called {wanted!r}",
            code="study-ambiguous",
            hint="give the first characters of its digest, as `cairn clinic offers` shows it",
        )
    return found[0]
