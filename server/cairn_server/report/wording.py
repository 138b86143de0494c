"""Arms by their names in a study file, in words for a reader. Files keep the names."""

from __future__ import annotations

import re
from typing import Final

from cairn_models.answers import Answer
from cairn_models.texts import in_all_texts

ARMS: Final = {
    "treatment_as_usual": "usual care",
    "self_help_book": "self-help book",
    "dmhi_unguided": "unguided programme",
    "dmhi_guided": "guided programme",
    "face_to_face": "face-to-face",
}


def arm_in_words(arm: str) -> str:
    """One arm's name for a reader."""
    return ARMS.get(arm, arm.replace("_", " ")) if "_" in arm else arm


def in_words(answer: Answer, arms: tuple[str, ...]) -> Answer:
    """`answer` with the study's arms in words wherever they show; numbers as they were."""
    plain = {arm: arm_in_words(arm) for arm in arms if "_" in arm}
    if not plain:
        return answer
    longest_first = sorted(plain, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
    return in_all_texts(answer, lambda text: pattern.sub(lambda m: plain[m[1]], text))
