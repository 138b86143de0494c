"""`receipt_of`: what must be known of results before any of them is made public.

    G1  the budget: every answered question was charged, by the plan that the study fixes
    G2  the ledgers: for every clinic that was asked, its own signed word on the head of its ledger
    G3  disclosure: every number shown has enough patients behind it by its noised count, and every
        sum enough clinics
    G4  the empirical test: each question's configuration, under this code, was tested and held
    G5  the blind: arms bear their names, and if they once bore letters, who unblinded them and why

Studies whose data are public have nothing to spend or to disclose: their receipt says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_privacy.audit.result import Result
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import CairnError, PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.mark import NO_HEAD, Mark
from cairn_server.points import estimates_in
from cairn_server.results import LedgerHead, QuestionSpend, StudyResults, Unblinding

UNTESTED: Final = "make it with `cairn privacy test STUDY --out FILE`, with the code that ran"


@dataclass(frozen=True)
class TestedQuestion:
    """One question's empirical test: the digest of what was tested, and what an attack showed."""

    question: str
    configuration: str
    epsilon_claimed: float
    epsilon_at_least: float
    trials: int


@dataclass(frozen=True)
class Receipt:
    """What a release rests on. `shown` counts the numbers that passed G3."""

    study: str
    digest: str
    run: str
    code_version: str
    synthetic: bool
    public: bool
    stopped: str
    epsilon: float | None
    delta: float | None
    budget: tuple[QuestionSpend, ...]
    heads: tuple[LedgerHead, ...]
    shown: int
    fewest_patients: int
    fewest_clinics: int
    tested: tuple[TestedQuestion, ...]
    unblinded: Unblinding | None = None


def receipt_of(results: StudyResults, tested: Result | None) -> Receipt:
    """The receipt of `results`.

    Args:
        tested: of the empirical test; None only for public data.

    Raises:
        PolicyRefusal: `policy.release-…`: which of G1 to G5 is missing, and how to get it.
    """
    study, total = results.study, results.spend.total
    shown = sum(e.value is not None for answer in results.answers for e in answer.estimates)
    proofs: tuple[TestedQuestion, ...] = ()
    _check_blind(results)
    if study.noised:
        _check_budget(results)
        _check_heads(results)
        for answer in results.answers:
            _check_disclosure(results, answer)
        proofs = tuple(_tested(results, tested))
    return Receipt(
        study=study.name,
        digest=study.digest.hex(),
        run=results.run.run_id,
        code_version=results.run.code_version,
        synthetic=results.is_synthetic,
        public=not study.noised,
        stopped=results.stopped,
        epsilon=total.epsilon,
        delta=total.delta,
        budget=results.spend.questions,
        heads=results.heads,
        shown=shown,
        fewest_patients=study.disclosure.patients,
        fewest_clinics=study.disclosure.clinics,
        tested=proofs,
        unblinded=results.blinding.unblinded if results.blinding else None,
    )


def _check_blind(results: StudyResults) -> None:
    if results.is_blinded or (results.study.release.blinded and results.blinding is None):
        _refuse(
            "release-blinded",
            "the study's arms still bear letters",
            why="the study sets blinded = true under [release]",
            hint="a named person unblinds it first: `cairn study unblind RESULTS --to FOLDER "
            "--by NAME --reason WHY`; then release that folder",
        )


def _check_budget(results: StudyResults) -> None:
    spent = {q.name: q for q in results.spend.questions}
    sums = {s.name: s for s in results.sums}
    for question in (build(spec, results.study) for spec in results.study.questions):
        name = question.name
        if name not in sums or sums[name].known_run:  # that run has the receipt for it
            continue
        terms = QuestionTerms.of(
            results.study, question.spec, question.shape, results.study.policy.clinics
        )
        told = spent.get(name)
        least = sums[name].rounds * terms.noise.rho_per_round if terms.noise else 0.0
        if told is None or told.rho is None or told.rho < least * (1 - 1e-12):
            _refuse(
                "release-budget",
                f"question {name!r} has no whole budget receipt",
                why=f"{sums[name].rounds} sums were opened; each costs ρ = "
                f"{terms.noise.rho_per_round if terms.noise else 0:.3g}",
                hint="the results are damaged, or were put together by hand: run the study anew",
            )


def _check_heads(results: StudyResults) -> None:
    told = {head.clinic: head for head in results.heads}
    if all(s.known_run for s in results.sums):
        return  # nothing was asked in this run
    never = {a.clinic for s in results.sums for a in s.absent if len(a.rounds) == s.rounds}
    for participant in results.participants:
        head = told.get(participant.clinic)
        if head is None and participant.clinic in never:
            continue
        if head is None or not _genuine(head, participant.fingerprint):
            _refuse(
                "release-ledger",
                f"there is no ledger head that {participant.clinic} signed",
                why="without it nobody could show later that the clinic was charged",
                hint="results of an older version have none: run the study anew",
            )


def _genuine(head: LedgerHead, owner: str) -> bool:
    try:
        mark = Mark.from_body(bytes.fromhex(head.mark))
    except (CairnError, ValueError):
        return False
    told = (mark.epoch, mark.ledger_head.hex())
    same = told == (head.epoch, head.head) and mark.ledger_head != NO_HEAD
    return same and fingerprint(mark.identity) == owner and mark.genuine()


def _check_disclosure(results: StudyResults, answer: Answer) -> None:
    least = results.study.disclosure
    clinics = next((s.fewest for s in results.sums if s.name == answer.question), 0)
    if clinics < least.clinics:
        _refuse(
            "release-disclosure",
            f"a sum of {answer.question!r} is over {clinics} clinics, {least.clinics} are needed",
            hint="leave the question out of the study, or ask it with more clinics",
        )
    drawn = (e for figure in answer.figures for e in estimates_in(figure))
    for estimate in (*answer.estimates, *drawn):
        if estimate.value is not None and not (estimate.count or 0.0) >= least.patients:
            _refuse(
                "release-disclosure",
                f"{estimate.name!r} of {answer.question!r} is shown, with too few patients behind "
                "it, or nobody knows how many",
                why=f"{least.patients} are needed, by the noised count",
                hint="this is a bug of the question: please report it",
            )


def _tested(results: StudyResults, tested: Result | None) -> Iterator[TestedQuestion]:
    if tested is None:
        _refuse("release-untested", "there is no result of the empirical test", hint=UNTESTED)
    asked = {answer.question for answer in results.answers}
    for spec in results.study.questions:
        if spec.name not in asked:
            continue
        question = build(spec, results.study)
        terms = QuestionTerms.of(results.study, spec, question.shape, results.study.policy.clinics)
        if not tested.covers(terms):
            _refuse(
                "release-untested",
                f"question {spec.name!r} was not tested as it was asked, or failed",
                why="the result is of another study, other terms or other code, or found a fault",
                hint=UNTESTED,
            )
        found = next(q for q in tested.questions if q.configuration.question == spec.name)
        yield TestedQuestion(
            spec.name, found.digest, found.epsilon, found.own.epsilon_at_least, found.own.trials
        )


def _refuse(code: str, what: str, *, why: str = "", hint: str = "") -> NoReturn:
    raise PolicyRefusal(what, code=code, why=why, hint=hint)
