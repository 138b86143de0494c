"""`draw_letters`: which arm bears which letter in a study whose answers are blinded.

Drawn anew for every run from the operating system's generator. Nothing public decides it: neither
the arms' order in the study, nor their sizes, nor the plan. Whoever runs the server can find it
out: the blind is for those who analyse, not a secret from those who keep it (docs/releasing.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import SystemRandom
from typing import Any

from cairn_models.questions.base import Question
from cairn_models.questions.blinded import arms_in, blinded, letters_for
from cairn_protocol.study import Study


def draw_letters(study: Study, questions: Sequence[Question[Any]]) -> dict[str, str]:
    """A letter for every arm, by the arm's name; empty where the study is not blinded."""
    if not study.release.blinded:
        return {}
    letters = list(letters_for(questions))
    SystemRandom().shuffle(letters)
    return dict(zip(arms_in(questions), letters, strict=True))


def check_blinded(study: Study, questions: Sequence[Question[Any]]) -> None:
    """Refuses a study that is to be blinded and has a question that cannot be.

    Raises:
        InputError: `input.question-not-blind`.
    """
    letters = draw_letters(study, questions)
    for question in questions if letters else ():
        blinded(question, letters)
