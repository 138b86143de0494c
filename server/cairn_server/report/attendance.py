"""Which clinics are in which sums, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn_server.results import Absence, QuestionSums, StudyResults


@dataclass(frozen=True)
class ShownSums:
    """A question's row in the table of who took part."""

    name: str
    clinics: str
    absent: str


def shown_sums(results: StudyResults) -> tuple[ShownSums, ...]:
    """One row for each question that opened a sum."""
    return tuple(
        ShownSums(s.name, in_sums(s), "; ".join(absence(a, s.rounds) for a in s.absent) or "–")
        for s in results.sums
    )


def note(results: StudyResults, question: str) -> str:
    """What to know of an answer's sums: who is missing, or that they are an earlier run's."""
    said = []
    for sums in results.sums:
        if sums.name == question and sums.known_run:
            said.append(
                f"An equal question was answered by these clinics on {sums.known_since} (run "
                f"{sums.known_run[:12]}); this is that answer, and nothing was charged for it."
            )
        if sums.name == question and sums.absent:
            missing = "; ".join(absence(a, sums.rounds) for a in sums.absent)
            said.append(f"Over {in_sums(sums)} clinics. Missing: {missing}.")
    return " ".join(said)


def in_sums(sums: QuestionSums) -> str:
    """How many clinics are in a question's sums: '5 of 5', or '3 to 5 of 5' where that changed."""
    absent = [sum(n in a.rounds for a in sums.absent) for n in range(1, sums.rounds + 1)]
    most = sums.clinics - min(absent)
    count = f"{sums.fewest}" if sums.fewest == most else f"{sums.fewest} to {most}"
    return f"{count} of {sums.clinics}"


def absence(absent: Absence, rounds: int) -> str:
    """'elm', or 'elm (rounds 2 to 4 and 7 of 40)' where it is in other sums."""
    if len(absent.rounds) == rounds:
        return absent.clinic
    word = "round" if len(absent.rounds) == 1 else "rounds"
    return f"{absent.clinic} ({word} {spans(absent.rounds)} of {rounds})"


def spans(numbers: Sequence[int]) -> str:
    """'2 to 4 and 7' for ascending whole numbers."""
    texts = [
        f"{first}" if first == last else f"{first} to {last}" for first, last in _spans(numbers)
    ]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def _spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found
