"""`RecordsAdmin`: what a clinic's own people may ask of their records; served on admin.sock only.

No method reads a file of the clinic's or a record. An import is a process of its own
(`imports.process`); what it found is read from where it left it.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from cairn_client.imports.found import Found
from cairn_client.imports.running import ImportRuns
from cairn_client.imports.store import Attempt, ImportFindings
from cairn_client.imports.view import consent_of, line_of, quality_of, rows_of, run_of
from cairn_client.readiness.page import readiness_page
from cairn_client.reviewers import LONGEST_PERSON, Reviewers
from cairn_protocol.errors import InputError
from cairn_protocol.proto import records_pb2 as pb

SERVICE: Final = "cairn.keeper.v1.Records"
LINES_AT_ONCE: Final = 100
ROWS_AT_ONCE: Final = 500


class RecordsAdmin:
    """The methods of records.proto's Records; each takes a request and returns its reply.

    Args:
        findings: what imports left.
        runs: the importers.
        reviewers: who has signed in.
    """

    def __init__(self, findings: ImportFindings, runs: ImportRuns, reviewers: Reviewers) -> None:
        self._findings = findings
        self._runs = runs
        self._reviewers = reviewers

    def dry_run(self, request: pb.DryRunRequest) -> pb.ImportRun:
        """The importer, which only looks.

        Raises:
            InputError: `input.import-running`, or nobody is named.
            PolicyRefusal: the session is nobody's.
        """
        person = self._person(request.session, request.person)
        return run_of(self._runs.start(person, dry_run=True))

    def import_(self, request: pb.ImportRequest) -> pb.ImportRun:
        """The importer; otherwise as `dry_run`. To accept a loss is a decision, of a reviewer
        where the clinic has accounts.
        """
        if request.accept_loss:
            person = self._reviewers.decider(request.session, request.person).name
        else:
            person = self._person(request.session, request.person)
        return run_of(self._runs.start(person, accept_loss=request.accept_loss))

    def run(self, _: pb.RunRequest) -> pb.ImportRun:
        """The importer that runs, or how the newest one ended."""
        return run_of(self._runs.newest)

    def imports(self, request: pb.ImportsRequest) -> pb.ImportsReply:
        """The history, newest first."""
        lines = self._findings.history()
        if request.before:
            lines = tuple(line for line in lines if line.place < request.before)
        shown = lines[-LINES_AT_ONCE:]
        more = shown[0].place if len(shown) < len(lines) else 0
        return pb.ImportsReply(imports=map(line_of, reversed(shown)), more=more)

    def quality(self, request: pb.QualityRequest) -> pb.QualityReply:
        """How ready the data are.

        Raises:
            InputError: `input.nothing-found`.
        """
        return quality_of(self._found(request.of))

    def readiness_page(self, request: pb.ReadinessPageRequest) -> pb.ReadinessPageReply:
        """The same as a page; with the rows at fault for a reviewer who signed in."""
        found = self._found(request.of)
        facts = found.facts
        if request.session:
            self._reviewers.person_of(request.session)
        else:
            facts = facts.without_rows()
        return pb.ReadinessPageReply(html=readiness_page(facts, found.line.at).encode())

    def quarantine(self, request: pb.QuarantineRequest) -> pb.QuarantineReply:
        """Rows that were set aside, for a reviewer who signed in."""
        self._reviewers.person_of(request.session)
        self._found(request.of)
        rows = self._findings.quarantine(_attempt(request.of))
        if request.file:
            rows = rows.filter(pl.col("file") == request.file)
        if request.code:
            rows = rows.filter(pl.col("code") == request.code)
        page = rows.slice(request.after, ROWS_AT_ONCE)
        return pb.QuarantineReply(rows=rows_of(page), total=rows.height)

    def consent(self, request: pb.ConsentRequest) -> pb.ConsentReply:
        """How many consent, and why the others are left out.

        Raises:
            InputError: `input.nothing-found`.
        """
        return consent_of(self._found(request.of))

    def _found(self, of: pb.Attempt) -> Found:
        found = self._findings.found(_attempt(of))
        if found is None:
            raise InputError(
                "there is nothing to show yet",
                code="nothing-found",
                why="nothing was tried since the last import that is kept"
                if of == pb.ATTEMPT_TRIED
                else "no import was kept, or it was one of an older Cairn",
                hint="look first: `cairn clinic import --dry-run`, then `cairn clinic import`",
            )
        return found

    def _person(self, session: str, said: str) -> str:
        if session:
            return self._reviewers.person_of(session)
        person = said.strip()[:LONGEST_PERSON]
        if not person or not person.isprintable():
            raise InputError("an import is asked for by somebody", code="person-missing")
        return person


def _attempt(of: pb.Attempt) -> Attempt:
    return "tried" if of == pb.ATTEMPT_TRIED else "kept"
