"""What `cairn privacy test` says, in words for a data protection officer."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Final

from cairn_privacy.audit.result import AttackFound, QuestionFound, Result

WIDTH: Final = 96
IN_WORDS: Final = {
    "variance": "size of the noise in all",
    "each coordinate": "size of the noise in each number",
    "kurtosis": "peakedness of the noise",
    "law": "shape of the noise",
    "repeats": "noise that comes again",
    "over rounds": "noise of different rounds",
    "over clinics": "noise of different clinics",
}


def opening_text(title: str) -> str:
    """What the test is, before anything is measured."""
    return _wrapped(
        f"Empirical privacy test of the study “{title}”. Each question is answered by the code "
        "that answers at a clinic, from the records to the noised sum that leaves. All records "
        "here are synthetic, made to do harm; nobody's data are read, and nothing is spent."
    )


def question_text(found: QuestionFound) -> str:
    """One question: its claim, and what each of the four tests found."""
    terms = found.configuration
    sums = "one sum" if terms.releases == 1 else f"{terms.releases} sums"
    claim = (
        f"{terms.question} ({found.kind}): claims ε = {found.epsilon:g} at δ = {found.delta:g} "
        f"for {sums} of {terms.length:,} numbers"
    )
    lines = (
        ("charge", found.charge.holds, _charge(found)),
        ("pull", found.pull.holds and not found.pull.blind, _pull(found)),
        ("noise", all(check.holds for check in found.noise), _noise(found)),
        ("guess", found.own.holds and found.turned_up.holds, _guess(found)),
    )
    return "\n".join([claim, *(_line(name, holds, words) for name, holds, words in lines)])


def closing_text(result: Result) -> str:
    """The verdict, what it is worth, and what it took."""
    failed = [q.configuration.question for q in result.questions if not q.holds]
    count = len(result.questions)
    asked = "the question" if count == 1 else f"any of the {count} questions"
    verdict = (
        f"FAILED: {', '.join(failed)}. Do not ask and do not release; report it as a bug."
        if failed
        else f"Nothing contradicts the claim of {asked}."
    )
    once = math.floor(1 / (count * result.false_alarm_at_most) / 100) * 100
    worth = (
        "This is evidence, never proof: it finds code that breaks its promise in a way that these "
        "records and attacks bring out. The proof is docs/privacy-accounting.md. Bounds are with "
        f"{result.confidence:.0%} confidence; code that keeps its promise fails this test less "
        f"than once in {once:,} runs."
    )
    return f"{_wrapped(verdict)}\n{_wrapped(worth)}\nTook {result.cpu_seconds:.0f} s of CPU."


def _charge(found: QuestionFound) -> Iterator[str]:
    if not found.charge.before_records:
        yield "records were read before the ledger was charged"
    if found.charge.charges != 1:
        yield f"one answer charged the ledger {found.charge.charges} times"
    yield f"in all the ledger is charged ε = {found.charge.epsilon:.4g}, before a record is read"


def _pull(found: QuestionFound) -> Iterator[str]:
    pull = found.pull
    where = f"“{pull.patient}” at a clinic “{pull.background}”"
    if math.isinf(pull.largest):
        yield f"the clinic stops answering when {where} is there, which tells that they are"
        return
    yield (
        f"without noise, {pull.tried} trials of a hostile patient moved the sum by at most "
        f"{pull.largest:.4f} of the bound ({where})"
    )
    if pull.blind:
        yield "no synthetic patient comes near the bound, so this shows nothing"


def _noise(found: QuestionFound) -> Iterator[str]:
    m, f = found.configuration.survivors, found.configuration.colluding
    wrong = [f"{IN_WORDS[c.check]}: {c.seen}" for c in found.noise if not c.holds]
    if wrong:
        yield "; ".join(wrong)
        return
    (in_all,) = (c.seen for c in found.noise if c.check == "variance")
    knowing = f"less what {f} colluding know" if f else "all of it unknown"
    yield (
        f"in sums of {m} empty clinics, {knowing}: variance {in_all}, normal, independent over "
        "numbers, rounds and clinics"
    )


def _guess(found: QuestionFound) -> Iterator[str]:
    yield f"an attacker who knows all else shows {_bound(found.own)}"
    yield f"with the patient's pull turned up, where faults show: {_bound(found.turned_up)}"


def _bound(attack: AttackFound) -> str:
    verb = "under" if attack.holds else "ABOVE"
    return f"ε ≥ {attack.epsilon_at_least:.2f}, {verb} the claimed {attack.epsilon:.2f}"


def _line(name: str, holds: bool, words: Iterator[str]) -> str:
    verdict = "holds" if holds else "FAILS"
    head = f"  {name:<7} {verdict}  "
    return textwrap.fill(
        "; ".join(words), WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH)
