"""`Offering`: puts every study that is offered before its clinics, and keeps what they say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from cairn_models.questions import build
from cairn_protocol.errors import CairnError
from cairn_protocol.identity import verify
from cairn_protocol.messages import Offer, Refusal, Standing, decode
from cairn_protocol.roster import RosterEntry, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_server.exchange import Exchange
from cairn_server.store import Store
from cairn_server.store_tables import StoredStanding, StoredStudy
from cairn_server.team_studies import nodes, revoked

log = logging.getLogger("cairn.server")
OFFER_SECONDS: Final = 4.0  # a clinic that is away is asked again later


class Offering:
    """Args:
    exchange: makes the way to the clinics.
    stopping: asked between two studies.
    """

    def __init__(
        self, store: Store, exchange: Callable[[], Exchange], *, stopping: Callable[[], bool]
    ) -> None:
        self._store, self._exchange, self._stopping = store, exchange, stopping
        self._loaded: set[bytes] = set()  # digests
        self._warned: dict[bytes, str] = {}  # what was last said of a study

    def look(self) -> None:
        """Asks every clinic that has not decided. A fault of one study is said once."""
        for study in self._store.studies():
            if self._stopping():
                return
            if study.state != "offered":
                continue
            try:
                self._offer(study)
                self._warned.pop(study.digest, None)
            except CairnError as error:
                self._warn(study, f"cannot be offered: {error}")

    def _warn(self, study: StoredStudy, what: str) -> None:
        if self._warned.get(study.digest) != what:
            self._warned[study.digest] = what
            log.warning("study %s %s", study.name, what)

    def _load(self, study: StoredStudy) -> None:
        """Load what the questions need, seconds for a network, before anybody waits for it."""
        if study.digest not in self._loaded:
            asked = SignedStudy.from_body(study.signed).study()
            for spec in asked.questions:
                build(spec, asked)
            self._loaded.add(study.digest)

    def _offer(self, study: StoredStudy) -> None:
        self._load(study)
        roster = SignedRoster.from_body(study.roster)
        said = {s.clinic: s for s in self._store.standings(study.digest)}
        gone = revoked(self._store, roster.roster)
        undecided = {
            index: entry
            for index, entry in enumerate(roster.roster.entries)
            if index not in gone and _undecided(said.get(entry.clinic), roster)
        }
        if undecided:
            self._ask(study, roster, undecided)
        for error in gone.values():
            raise error

    def _ask(
        self, study: StoredStudy, roster: SignedRoster, undecided: dict[int, RosterEntry]
    ) -> None:
        offer = Offer(SignedStudy.from_body(study.signed), roster).to_bytes()
        node_of = nodes(self._store, roster.roster, even_revoked=True)
        replies = self._exchange()(
            "query.offer", {node_of[index]: offer for index in undecided}, OFFER_SECONDS
        )
        for index, entry in undecided.items():
            if node_of[index] in replies:
                self._keep_standing(study, roster, entry, replies[node_of[index]])

    def _keep_standing(
        self, study: StoredStudy, roster: SignedRoster, entry: RosterEntry, reply: bytes
    ) -> None:
        try:
            message = decode(reply)
        except CairnError as error:
            log.warning("%s answered an offer with what cannot be read: %s", entry.clinic, error)
            return
        if isinstance(message, Refusal):
            log.warning("%s refused an offer: %s", entry.clinic, message.code)
            return
        genuine = (
            isinstance(message, Standing)
            and (message.study, message.roster) == (study.digest, roster.roster.digest)
            and message.identity == entry.identity
            and verify(entry.identity, "standing", message.signed, message.signature)
        )
        if not isinstance(message, Standing) or not genuine:
            log.warning("%s did not sign what it answered to an offer", entry.clinic)
            return
        now = datetime.now(UTC)
        kept = StoredStanding(study.digest, entry.clinic, message.state, message.body, now)
        self._store.put_standing(kept)


def _undecided(said: StoredStanding | None, roster: SignedRoster) -> bool:
    if said is None or said.state in ("offered", "paused"):
        return True
    return Standing.from_body(said.message).roster != roster.roster.digest
