"""`Running`: begins runs of studies that were started, and carries each to its end.

A run ends when its study was answered, or cannot be. A store that is away ends nothing: the run
stays in it as one that is going on, and is carried on from its journal when the store is back.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes

from cairn_privacy.audit.configuration import code_version
from cairn_protocol.errors import CairnError, OurFault, StudyStopped
from cairn_protocol.messages import RUN_BYTES
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_server.assemble import results_of
from cairn_server.coordinator import run_on
from cairn_server.equal_questions import EqualQuestions
from cairn_server.events import Event
from cairn_server.exchange import Deadlines
from cairn_server.fleet import FleetEndpoint
from cairn_server.journal import Unavailable
from cairn_server.report import write_results
from cairn_server.store import Store
from cairn_server.store_journal import StoreJournal
from cairn_server.store_tables import RunState, StoredRun, StoredStudy
from cairn_server.study_run import StudyRun
from cairn_server.team_studies import nodes, revoked

log = logging.getLogger("cairn.server")


class Running:
    """Args:
    out: where each study's results go, in a folder of its own.
    """

    def __init__(self, store: Store, fleet: FleetEndpoint, deadlines: Deadlines, out: Path) -> None:
        self._store, self._fleet, self._deadlines, self._out = store, fleet, deadlines, out

    def next(self) -> StoredRun | None:
        """A run that a killed server left, or a new one of a study that was started."""
        for run in self._store.runs(state="running"):
            return run
        for study in self._store.studies():
            if study.state == "starting":
                return self._begin(study)
        return None

    def _begin(self, study: StoredStudy) -> StoredRun:
        run = StoredRun(
            run=token_bytes(RUN_BYTES),
            study=study.digest,
            state="running",
            started=datetime.now(UTC),
            ended=None,
            reason="",
        )
        self._store.start_run(run, code=code_version())
        return run

    def carry_on(self, run: StoredRun) -> None:
        """Run or resume to the end, whole or early; results are written before the run is ended."""
        try:
            reason = self._to_its_end(run)
            state: RunState = "stopped" if reason else "finished"
            self._store.end_run(run.run, state=state, reason=reason, at=datetime.now(UTC))
        except Unavailable as error:
            log.warning("a run waits for the store: %s", error)
        finally:
            self._fleet.finish(run.run.hex())

    def _to_its_end(self, run: StoredRun) -> str:
        """Why it stopped; empty if it did not."""
        study = self._store.study(run.study)
        if study is None:
            return str(OurFault("a run's study is not in the store", code="run-without-study"))
        reason, going = "", None
        try:
            going = self._study_run(run, study)
            run_on(self._fleet.grid(run.run.hex()), going)
        except Unavailable:
            raise
        except CairnError as error:
            reason = str(error)
        except Exception:
            log.exception("study %s cannot be carried on", study.name)
            reason = str(OurFault("the run met what Cairn did not foresee", code="unforeseen"))
        if going is not None and going.answers:
            try:
                self._write(run, study, going)
            except Exception:  # what was opened is in the journal, and results.json comes first
                log.exception("the report of study %s cannot be written whole", study.name)
        return reason

    def _study_run(self, run: StoredRun, study: StoredStudy) -> StudyRun:
        signed, roster = SignedStudy.from_body(study.signed), SignedRoster.from_body(study.roster)
        return StudyRun(
            signed,
            roster,
            nodes(self._store, roster.roster, even_revoked=signed.study().policy.recovers),
            run_id=run.run,
            journal=StoreJournal(self._store, run.run),
            deadlines=self._deadlines,
            watch=lambda event: self._note(run, event),
            look=EqualQuestions(self._store, run.run, signed, roster.roster),
            check=lambda: self._check(roster.roster),
        )

    def _check(self, roster: Roster) -> dict[int, StudyStopped]:
        """Clinics that were revoked since the run began: not to be asked any more."""
        return {
            index: StudyStopped(error.what, code="clinic-revoked", why=error.why, hint=error.hint)
            for index, error in revoked(self._store, roster).items()
        }

    def _write(self, run: StoredRun, study: StoredStudy, going: StudyRun) -> None:
        results = results_of(
            going,
            started=run.started,
            seconds=(datetime.now(UTC) - run.started).total_seconds(),
            engine="coordinator: Flower's fleet over TLS",
        )
        write_results(results, results_folder(self._out, study))

    def _note(self, run: StoredRun, event: Event) -> None:
        self._store.add_event(run.run, json.dumps(asdict(event)), datetime.now(UTC))


def results_folder(out: Path, study: StoredStudy) -> Path:
    """Where a study's results are written."""
    return out / f"{study.name}-{study.digest.hex()[:8]}"
