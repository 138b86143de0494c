"""`StudyPlan`: what a study will spend, find and move, worked out before anything runs.

All of it follows from the study's text and public constants; no record is read. A question is not
worth asking where the privacy noise would widen the interval of its primary result by more than
half, or hide that result, unless the study insists in writing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from cairn_models.questions import build
from cairn_models.questions.base import Expected, Question, SumNoise
from cairn_privacy.accounting import epsilon_of_rho, rho_for
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.attempts import MOST_ATTEMPTS, expected_attempts
from cairn_protocol.context import state_bytes
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.fixed_point import wire_bytes
from cairn_protocol.study import QuestionSpec, Study
from cairn_server.blinding import check_blinded

MOST_INFLATION: Final = 0.5
SECONDS_A_ROUND: Final = 1.0  # between machines, docs/benchmarks.md; embedded runs take 0.02 s
FLOAT32: Final = 4
LARGEST_EPSILON: Final = 8.0  # of one question


@dataclass(frozen=True)
class QuestionPlan:
    """One question's line. `noise_sd` is the deviation that noise gives each number of a sum.

    `expected` are the results whose precision counts, `others` the rest that can be foretold.
    """

    name: str
    kind: str
    epsilon: float | None
    rho: float
    rounds: int
    noise_sd: float
    numbers: int
    bits: int
    upload_bytes: int
    expected: tuple[Expected, ...]
    others: tuple[Expected, ...]
    insist: str

    @property
    def inflation(self) -> float | None:
        """Of the worst primary result; infinite: noise hides it; None: none can be foretold."""
        return max((e.inflation for e in self.expected), default=None)


@dataclass(frozen=True)
class StudyPlan:
    """A study before it runs. `attempts` a round, at the stated loss, each charged in full."""

    study: str
    title: str
    noised: bool
    delta: float
    questions: tuple[QuestionPlan, ...]
    epsilon: float  # of all questions together
    epsilon_with_retries: float
    attempts: float
    retries: int
    bytes_up: int  # from one clinic, all rounds, once each
    bytes_down: int
    seconds: float
    window_ends: bool = False

    @property
    def rounds(self) -> int:
        """Sums that are opened in all."""
        return sum(q.rounds for q in self.questions)

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the study should not be asked as it stands; empty: nothing speaks against it."""
        faults = [
            f"{q.name}: noise would widen the interval by {q.inflation:.0%}"
            if math.isfinite(q.inflation)
            else f"{q.name}: noise would hide the result"
            for q in self.questions
            if q.inflation is not None and q.inflation > MOST_INFLATION and not q.insist
        ]
        if self.attempts > MOST_ATTEMPTS:
            faults.append(
                f"each round would be asked {self.attempts:.1f} times on average, and charged "
                "each time"
            )
        return tuple(faults)

    @property
    def open_ended(self) -> bool:
        """Whether patients who are still to come pay for it too: no `entry_until` is named."""
        return self.noised and not self.window_ends

    def check(self) -> None:
        """Refuses a study that is not worth its patients' budget.

        Raises:
            PolicyRefusal: `policy.not-worth-asking`.
        """
        if self.faults:
            raise PolicyRefusal(
                "the study is not worth asking as it stands",
                code="not-worth-asking",
                why="; ".join(self.faults),
                hint="ask fewer questions or plan more patients; give a question a larger epsilon; "
                'or say why it must be asked all the same: insist = "…" in its [[questions]]; '
                "against lost rounds: fewer survivors",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; null for what is infinite."""
        document = asdict(self) | {"rounds": self.rounds, "faults": list(self.faults)}
        for written, question in zip(document["questions"], self.questions, strict=True):
            written["inflation"] = _finite(question.inflation)
            for row, told in zip(written["expected"], question.expected, strict=True):
                row |= {"standard_error": told.standard_error, "inflation": told.inflation}
            for row in (*written["expected"], *written["others"]):
                row |= {key: _finite(v) for key, v in row.items() if isinstance(v, float)}
        return document


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def plan_study(study: Study) -> StudyPlan:
    """The plan of `study`.

    Raises:
        CairnError: the study cannot be asked at all.
    """
    questions = [build(spec, study) for spec in study.questions]
    check_blinded(study, questions)
    lines = tuple(_line(study, question) for question in questions)
    rho, delta = sum(line.rho for line in lines), study.privacy.delta
    dearest = max((line.rho / line.rounds for line in lines), default=0.0)
    retried = rho + study.privacy.retries * dearest
    attempts = expected_attempts(study.policy)
    states = [_state_bytes(question) for question in questions]
    return StudyPlan(
        study=study.name,
        title=study.title,
        noised=study.noised,
        delta=delta,
        questions=lines,
        epsilon=epsilon_of_rho(rho, delta) if rho else 0.0,
        epsilon_with_retries=epsilon_of_rho(retried, delta) if retried else 0.0,
        attempts=attempts,
        retries=study.privacy.retries,
        bytes_up=sum(line.rounds * line.upload_bytes for line in lines),
        bytes_down=sum(line.rounds * size for line, size in zip(lines, states, strict=True)),
        seconds=sum(line.rounds for line in lines) * attempts * SECONDS_A_ROUND,
        window_ends=study.cohort.entry_until is not None,
    )


def split_budget(study: Study, epsilon: float) -> dict[str, float]:
    """An ε for each question, `epsilon` in all, which widens every primary result alike.

    A question whose precision cannot be foretold keeps its own ε; the others share what is left.
    Noise adds k/ρ to the variance of a result, relative to its sampling variance, so the
    inflation √(1 + k/ρ) − 1 is the same for all if each gets ρ in proportion to its k.

    Raises:
        InputError: nothing is left to share, or nothing to share it among.
    """
    plan = plan_study(study)
    kept = {q.name: q.rho for q in plan.questions if not q.expected}
    needs = {q.name: q.rho * _need(q) for q in plan.questions if q.expected}
    left = rho_for(epsilon, study.privacy.delta) - sum(kept.values())
    if left <= 0 or not needs:
        raise InputError(
            "this budget cannot be split",
            code="budget-split",
            why="questions without a foretold precision keep their own epsilon, and use it all"
            if needs
            else "no question of the study has a precision that can be foretold",
            hint="a larger --epsilon, or a smaller epsilon for those questions",
        )
    if hidden := sorted(name for name, need in needs.items() if not math.isfinite(need)):
        raise InputError(
            "this budget cannot be split",
            code="budget-split",
            why=f"at its present epsilon noise would hide the result of {', '.join(hidden)}",
            hint="give it a larger epsilon in the study file first",
        )
    total = sum(needs.values())
    shares: Mapping[str, float] = {name: left * need / total for name, need in needs.items()}
    split = {
        name: min(math.floor(100 * epsilon_of_rho(rho, study.privacy.delta)) / 100, LARGEST_EPSILON)
        for name, rho in shares.items()
    }
    if small := sorted(name for name, share in split.items() if share <= 0):
        raise InputError(
            "this budget cannot be split",
            code="budget-split",
            why=f"less than 0.01 would be left for {', '.join(small)}",
            hint="a larger --epsilon, or fewer questions",
        )
    return split


def _need(question: QuestionPlan) -> float:
    """The largest ratio of noise variance to sampling variance among the primary results."""
    return max((e.noise / e.sampling) ** 2 for e in question.expected)


def _line(study: Study, question: Question[Any]) -> QuestionPlan:
    spec, shape = question.spec, question.shape
    terms = QuestionTerms.of(study, spec, shape, study.policy.clinics)
    expected = _expected(question, terms.sum_sd) if terms.noise else ()
    primary = _primary(spec, expected)
    return QuestionPlan(
        name=question.name,
        kind=question.kind,
        epsilon=spec.epsilon,
        rho=terms.noise.rho if terms.noise else 0.0,
        rounds=shape.rounds,
        noise_sd=terms.sum_sd,
        numbers=shape.length,
        bits=terms.scale.modulus_bits,
        upload_bytes=wire_bytes(shape.length, terms.scale.modulus_bits),
        expected=primary,
        others=tuple(e for e in expected if e not in primary),
        insist=spec.insist,
    )


def _expected(question: Question[Any], noise_sd: float) -> tuple[Expected, ...]:
    """What the question foretells; whatever it foretells only without noise, noise hides."""
    found = {e.name: e for e in question.expected(SumNoise(noise_sd))}
    quiet = question.expected(SumNoise(0.0))
    return tuple(found.get(e.name, replace(e, noise=math.inf)) for e in quiet)


def _primary(spec: QuestionSpec, expected: tuple[Expected, ...]) -> tuple[Expected, ...]:
    if not spec.primary:
        return expected[:1]
    known = {e.name: e for e in expected}
    if strangers := [name for name in spec.primary if name not in known]:
        raise InputError(
            f"question {spec.name!r} has no result {', '.join(map(repr, strangers))}",
            code="primary-unknown",
            why=f"its precision can be foretold for: {', '.join(known) or 'none'}",
            hint="name one of these in primary, or leave it out",
        )
    return tuple(known[name] for name in spec.primary)


def _state_bytes(question: Question[Any]) -> int:
    if question.builds_on:
        return FLOAT32 * question.state_length
    return len(state_bytes(question.start({})))
