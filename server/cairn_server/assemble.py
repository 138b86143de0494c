"""`results_of`: a run's answers with what they cost, who took part and how it went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from math import fsum

from cairn_models.answers import Answer
from cairn_privacy.accounting import epsilon_of_rho
from cairn_privacy.statement import study_statement
from cairn_protocol.identity import fingerprint
from cairn_server.results import (
    Absence,
    LedgerHead,
    Participant,
    QuestionSpend,
    QuestionSums,
    RunFacts,
    Spend,
    StudyResults,
    TotalSpend,
)
from cairn_server.sealing import seal
from cairn_server.study_run import StudyRun

PUBLIC_STATEMENT = (
    "The data of this study are public. Nothing was noised, and nothing was charged.",
)


def results_of(
    run: StudyRun,
    *,
    started: datetime,
    seconds: float,
    engine: str,
    oracle: Answer | None = None,
) -> StudyResults:
    """The results of a run that has ended, whole or early; sealed where its arms bear letters."""
    spends = tuple(_spends(run))
    rho = fsum(q.rho or 0.0 for q in spends)
    delta = run.study.privacy.delta
    noised = run.study.noised and rho > 0
    releases = sum(run.rounds_done.values())
    results = StudyResults(
        study=run.study,
        answers=tuple(run.answers),
        spend=Spend(
            questions=spends,
            total=TotalSpend(
                epsilon=epsilon_of_rho(rho, delta) if noised else None,
                delta=delta if noised else None,
                rho=rho if noised else None,
            ),
        ),
        statement=study_statement(rho, delta, releases) if noised else PUBLIC_STATEMENT,
        participants=tuple(Participant(e.clinic, fingerprint(e.identity)) for e in run.clinics),
        run=RunFacts(
            run_id=run.run_id.hex(),
            started=started.isoformat(timespec="seconds"),
            seconds=seconds,
            messages=run.conversation.messages,
            bytes_moved=run.conversation.bytes_moved,
            engine=engine,
            code_version=version("cairn-federated"),
        ),
        oracle=None if run.letters else oracle,  # the truth would tell which arm is which
        stopped=run.stopped,
        sums=tuple(_sums(run)),
        incidents=tuple(run.incidents()),
        heads=tuple(_heads(run)),
    )
    if not run.letters:
        return results
    return seal(results, replace(results, answers=tuple(run.named), oracle=oracle), run.letters)


def _heads(run: StudyRun) -> Iterable[LedgerHead]:
    newest = {u.clinic: u.mark for record in run.conversation.records for u in record.uploads}
    for index, entry in enumerate(run.clinics):
        if (mark := newest.get(index)) is not None and run.study.noised:
            yield LedgerHead(entry.clinic, mark.epoch, mark.ledger_head.hex(), mark.body.hex())


def _sums(run: StudyRun) -> Iterable[QuestionSums]:
    for question in run.questions:
        sums = run.clinics_in(question.name)
        if not sums:
            continue
        absences = (
            Absence(entry.clinic, rounds)
            for index, entry in enumerate(run.clinics)
            if (rounds := tuple(n for n, clinics in enumerate(sums, 1) if index not in clinics))
        )
        known = run.known.get(question.name)
        yield QuestionSums(
            known_run=known.run if known else "",
            known_since=known.opened if known else "",
            name=question.name,
            rounds=len(sums),
            clinics=len(run.clinics),
            fewest=min(map(len, sums)),
            last=len(sums[-1]),
            absent=tuple(absences),
        )


def _spends(run: StudyRun) -> Iterable[QuestionSpend]:
    delta = run.study.privacy.delta
    for question in run.questions:
        noise, rounds = run.terms[question.name].noise, run.attempts(question.name)
        if noise is None:
            yield QuestionSpend(question.name, None, None, None, rounds, None, "none: public data")
            continue
        rho = rounds * noise.rho_per_round
        yield QuestionSpend(
            name=question.name,
            epsilon=epsilon_of_rho(rho, delta) if rounds else 0.0,
            delta=delta,
            rho=rho,
            rounds=rounds,
            sigma=noise.sigma,
            noise=f"discrete Gaussian, a share of 1/{noise.honest} of the variance at each clinic",
        )
