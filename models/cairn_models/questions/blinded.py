"""`blinded`: the same question, asked of arms that bear letters, answered from the same sum.

Words that are blotted out of an answer leave traces: the order of the arms, which of them is the
reference, a phrase that one arm alone has. So nothing is blotted out. The question is built anew
for a study whose arms are called 'arm A', 'arm B', …, in that order, and the sum is brought into
that order before it is read. Such an answer cannot tell which arm is which, but by its numbers.

Contrasts are against the last letter, 'arm A against arm B', or of all pairs where the study asks
for any others than those against its reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Public, Question, SumNoise, Vector
from cairn_models.texts import in_all_texts
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.study import QuestionSpec, Study

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BY_ARM: Final = ("rates", "retention", "time_to_event")  # an arm's slot is one run of coordinates
Places = NDArray[np.int64]
_QUOTED: Final = re.compile(r"\barm “(arm [A-Z])”")


@dataclass(frozen=True)
class Blinded:
    """A question that knows letters only; `order`: where in a sum each of its coordinates is."""

    question: Question[Any]
    order: Places

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """The answer under letters, from the sum as the clinics' question has it."""
        answer = self.question.estimate(public, total[self.order], noise)
        answer = in_all_texts(answer, lambda text: _QUOTED.sub(r"\1", text))
        return replace(answer, released={})


def letters_for(questions: Sequence[Question[Any]]) -> tuple[str, ...]:
    """A letter for every arm that one of the questions names."""
    return tuple(f"arm {letter}" for letter in LETTERS[: len(arms_in(questions))])


def arms_in(questions: Sequence[Question[Any]]) -> tuple[str, ...]:
    """Every arm that one of the questions names, once."""
    return tuple(dict.fromkeys(arm for question in questions for arm in question.arms))


def blinded(question: Question[Any], letters: Mapping[str, str]) -> Blinded:
    """`question` under `letters`, by arm.

    Raises:
        InputError: its answer cannot be blinded.
    """
    places = slots(question)
    if places is None:
        raise _refusal(question, "no answer of this kind can hide which arm is which")
    if not getattr(question.settings, "randomised", True):
        raise _refusal(
            question, "its arms were not assigned at random", "set randomised = true if they were"
        )
    if "programme" in getattr(question, "parts", ()):
        raise _refusal(
            question,
            "the use of a programme tells which arms have one",
            'leave "programme" out of its parts',
        )
    names = tuple(sorted(letters[arm] for arm in question.arms))
    old = [[letters[arm] for arm in question.arms].index(name) for name in names]
    order = np.arange(question.shape.length)
    order[places.ravel()] = places[old].ravel()
    other = build(_spec(question, names), _study(question.study, letters))
    if other.shape != question.shape:
        raise OurFault(f"question {question.name!r} has another shape under letters", code="blind")
    return Blinded(other, order)


def slots(question: Question[Any]) -> Places | None:
    """(arms, width) each arm's coordinates, alike from arm to arm; None: the kind has no such.

    Coordinates that are in no row belong to all arms.
    """
    asked: Any = question
    arms, every = len(question.arms), np.arange(question.shape.length)
    if question.target_trial is not None:
        return None
    if question.kind in BY_ARM:
        return every.reshape(arms, -1)
    if question.kind == "describe":
        ends = np.cumsum([block.length for block in asked.layout.blocks])
        return np.hstack([part.reshape(arms, -1) for part in np.split(every, ends[:-1])])
    if question.kind == "effect":
        cells = asked.coding.cells  # stratum by stratum
        means, rest = np.split(every, [asked.coding.means.length])
        parts = [means.reshape(cells // arms, arms, -1)]
        if rest.size:  # then a slot a cell for predictions, and one number of all cells
            parts.append(rest[:cells].reshape(cells // arms, arms, 1))
        return np.hstack([np.moveaxis(part, 1, 0).reshape(arms, -1) for part in parts])
    return None


def _spec(question: Question[Any], names: tuple[str, ...]) -> QuestionSpec:
    """The question's settings under letters; without what names results by their arms."""
    settings = question.spec.settings | {"arms": list(names), "reference": names[-1]}
    settings.pop("programme_arms", None)
    if settings.get("contrasts", "reference") != "reference":
        settings["contrasts"] = "all"
    common = question.spec.model_dump(include={"name", "kind", "epsilon", "insist"})
    return QuestionSpec(**common, **settings)


def _study(study: Study, letters: Mapping[str, str]) -> Study:
    cohort = study.cohort.model_copy(update={"arms": tuple(sorted(letters.values()))})
    return study.model_copy(update={"cohort": cohort})


def _refusal(question: Question[Any], why: str, hint: str = "") -> InputError:
    return InputError(
        f"the answer to question {question.name!r} ({question.kind}) cannot be blinded",
        code="question-not-blind",
        why=why,
        hint=hint or "ask it in a study of its own, without blinded = true under [release]",
    )
