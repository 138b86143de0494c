"""`Service`: the research team's running server. It carries studies from offered to finished.

One process: the registry (enrolment), the fleet endpoint (Flower's router) and this loop over the
store. Commands write to the store from other processes; the loop sees it within `TICK` seconds:

    offered    put the study before each clinic that has not decided, and keep what it says
    starting   begin a run
    running    (after a restart) carry the run on from its journal

Beside them, what was released goes back to the clinics (`cairn_server.returning`), and their audit
logs are countersigned (`cairn_server.countersigning`).

One run at a time. What a run opens is in the store before the next round is asked.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from types import TracebackType
from typing import Final, Self

from cairn_models.questions import build
from cairn_protocol.errors import CairnError, OurFault, StudyStopped
from cairn_protocol.identity import verify
from cairn_protocol.messages import RUN_BYTES, Offer, Refusal, Standing, decode
from cairn_protocol.roster import Roster, RosterEntry, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_server.assemble import results_of
from cairn_server.coordinator import GridExchange, run_on
from cairn_server.countersigning import Countersigning
from cairn_server.equal_questions import EqualQuestions
from cairn_server.events import Event
from cairn_server.exchange import Deadlines
from cairn_server.fleet import FleetEndpoint
from cairn_server.home import ServerHome
from cairn_server.registry import Registry
from cairn_server.report import write_results
from cairn_server.returned import FOLDER as RETURNED
from cairn_server.returning import Returning
from cairn_server.store import Store
from cairn_server.store_journal import StoreJournal
from cairn_server.store_tables import StoredRun, StoredStanding, StoredStudy
from cairn_server.study_run import StudyRun
from cairn_server.team_studies import nodes, revoked

log = logging.getLogger("cairn.server")
TICK: Final = 1.0  # seconds between looks at the store
OFFER_SECONDS: Final = 4.0  # a clinic that is away is asked again later
OFFERS: Final = "offers"  # the run of Flower that carries offers
RETURNS: Final = "returns"  # and the one that carries findings
AUDITS: Final = "audits"  # and heads of audit logs


class Service:
    """A context manager: registry and fleet answer while it is entered; `serve` is the loop.

    Args:
        home: the server's folder.
        deadlines: of a run's stages; those of server.toml unless given.
        out: where each study's results go, in a folder of its own.

    Raises:
        InputError: a port that is taken, a certificate that expired, a home that is damaged.
    """

    def __init__(
        self, home: ServerHome, *, deadlines: Deadlines | None = None, out: Path | None = None
    ) -> None:
        config = home.config
        self.store: Store = home.store()
        self.fleet = FleetEndpoint(
            home.flower_database, config.fleet.listen, config.fleet.port, home.certificate, home.key
        )
        self.registry = Registry(
            home,
            self.store,
            enrol_node=self.fleet.enrol,
            revoke_node=self.fleet.revoke,
            last_seen=self.fleet.last_seen,
        )
        self.out = out or home.path / "results"
        self._deadlines = deadlines or config.waiting.deadlines
        self._loaded: set[bytes] = set()  # digests
        self._stop = threading.Event()
        self._returning = Returning(
            self.store,
            home.path / RETURNED,
            lambda: GridExchange(self.fleet.grid(RETURNS), RETURNS),
            self.fleet.last_seen,
            stopping=self._stop.is_set,
        )
        self._countersigning = Countersigning(
            self.store,
            home.team,
            lambda: GridExchange(self.fleet.grid(AUDITS), AUDITS),
            self.fleet.last_seen,
            stopping=self._stop.is_set,
        )

    def __enter__(self) -> Self:
        self.fleet.__enter__()
        try:
            self.registry.__enter__()
        except BaseException:
            self.fleet.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.registry.__exit__(kind, error, at)
        self.fleet.__exit__(kind, error, at)
        self.store.close()

    def stop(self) -> None:
        """End `serve` after what it is doing."""
        self._stop.set()

    def serve(self) -> None:
        """Carry studies on until `stop`; a fault of one study never ends the loop."""
        worker: threading.Thread | None = None
        carrier: threading.Thread | None = None
        while not self._stop.is_set():
            self.registry.sweep()
            for study in self.store.studies():
                if study.state == "offered":
                    self._offer_guarded(study)
            if carrier is None or not carrier.is_alive():
                carrier = threading.Thread(target=self._beside, daemon=True)
                carrier.start()
            if (worker is None or not worker.is_alive()) and (run := self._next_run()):
                worker = threading.Thread(target=self._carry_on, args=(run,), daemon=True)
                worker.start()
            self._stop.wait(TICK)
        if carrier is not None:
            carrier.join()

    def _beside(self) -> None:
        """What has no haste, in a thread of its own: it waits for clinics."""
        self._returning.carry()
        self._countersigning.look()

    def _next_run(self) -> StoredRun | None:
        """A run that a killed server left, or a new one of a study that was started."""
        for run in self.store.runs(state="running"):
            return run
        for study in self.store.studies():
            if study.state == "starting":
                return self._begin(study)
        return None

    def _offer_guarded(self, study: StoredStudy) -> None:
        try:
            self._offer(study)
        except CairnError as error:
            log.warning("study %s cannot be offered: %s", study.name, error)

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
        said = {s.clinic: s for s in self.store.standings(study.digest)}
        asked = {
            entry.clinic: (node, entry)
            for node, entry in zip(
                nodes(self.store, roster.roster), roster.roster.entries, strict=True
            )
            if _undecided(said.get(entry.clinic), roster)
        }
        if not asked:
            return
        offer = Offer(SignedStudy.from_body(study.signed), roster).to_bytes()
        exchange = GridExchange(self.fleet.grid(OFFERS), OFFERS)
        replies = exchange(
            "query.offer", {node: offer for node, _ in asked.values()}, OFFER_SECONDS
        )
        for node, entry in asked.values():
            if node in replies:
                self._keep_standing(study, roster, entry, replies[node])

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
        self.store.put_standing(kept)

    def _begin(self, study: StoredStudy) -> StoredRun:
        run = StoredRun(
            run=token_bytes(RUN_BYTES),
            study=study.digest,
            state="running",
            started=datetime.now(UTC),
            ended=None,
            reason="",
        )
        self.store.start_run(run)
        self.store.set_study(study.digest, state="running")
        return run

    def _carry_on(self, run: StoredRun) -> None:
        """Run or resume to the end, whole or early; results are written before the run is ended."""
        study = self.store.study(run.study)
        if study is None:
            raise OurFault("a run's study is not in the store", code="run-without-study")
        signed, roster = SignedStudy.from_body(study.signed), SignedRoster.from_body(study.roster)
        reason = ""
        try:
            going = StudyRun(
                signed,
                roster,
                nodes(self.store, roster.roster, even_revoked=signed.study().policy.recovers),
                run_id=run.run,
                journal=StoreJournal(self.store, run.run),
                deadlines=self._deadlines,
                watch=lambda event: self._note(run, event),
                look=EqualQuestions(self.store, run.run, signed, roster.roster),
                check=lambda: self._check(roster.roster),
            )
            try:
                run_on(self.fleet.grid(run.run.hex()), going)
            except CairnError as error:
                reason = str(error)
            if going.answers:
                self._write(run, study, going)
        except CairnError as error:
            reason = str(error)
        finally:
            self.fleet.finish(run.run.hex())
        state = "stopped" if reason else "finished"
        now = datetime.now(UTC)
        self.store.end_run(run.run, state=state, reason=reason, at=now)  # type: ignore[arg-type]
        self.store.set_study(study.digest, state=state)

    def _check(self, roster: Roster) -> dict[int, StudyStopped]:
        """Clinics that were revoked since the run began: not to be asked any more."""
        return {
            index: StudyStopped(error.what, code="clinic-revoked", why=error.why, hint=error.hint)
            for index, error in revoked(self.store, roster).items()
        }

    def _write(self, run: StoredRun, study: StoredStudy, going: StudyRun) -> None:
        results = results_of(
            going,
            started=run.started,
            seconds=(datetime.now(UTC) - run.started).total_seconds(),
            engine="coordinator: Flower's fleet over TLS",
        )
        write_results(results, results_folder(self.out, study))

    def _note(self, run: StoredRun, event: Event) -> None:
        self.store.add_event(run.run, json.dumps(asdict(event)), datetime.now(UTC))


def results_folder(out: Path, study: StoredStudy) -> Path:
    """Where a study's results are written."""
    return out / f"{study.name}-{study.digest.hex()[:8]}"


def _undecided(said: StoredStanding | None, roster: SignedRoster) -> bool:
    if said is None or said.state in ("offered", "paused"):
        return True
    return Standing.from_body(said.message).roster != roster.roster.digest
