"""Arms by their names in a study file, in words for a reader. Files keep the names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from cairn_models.answers import Answer

ARMS: Final = {
    "treatment_as_usual": "usual care",
    "self_help_book": "self-help book",
    "dmhi_unguided": "unguided programme",
    "dmhi_guided": "guided programme",
    "face_to_face": "face-to-face",
}
T = TypeVar("T")


def in_words(answer: Answer, arms: tuple[str, ...]) -> Answer:
    """`answer` with the study's arms in words wherever they show; numbers as they were."""
    plain = {arm: ARMS.get(arm, arm.replace("_", " ")) for arm in arms if "_" in arm}
    if not plain:
        return answer
    longest_first = sorted(plain, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
    return _mapped(answer, lambda text: pattern.sub(lambda m: plain[m[1]], text))


def _mapped(value: T, change: Any) -> T:
    result: Any = value
    if isinstance(value, str):
        result = change(value)
    elif isinstance(value, Answer):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        kept = {k: parts.pop(k) for k in ("question", "kind", "released")}
        result = replace(value, **{k: _mapped(v, change) for k, v in parts.items()}, **kept)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        result = replace(value, **{k: _mapped(v, change) for k, v in parts.items()})
    elif isinstance(value, tuple):
        result = tuple(_mapped(v, change) for v in value)
    elif isinstance(value, Mapping):
        result = {
            k if k in ("middle", "low", "high") else change(str(k)): _mapped(v, change)
            for k, v in value.items()
        }
    return result  # type: ignore[no-any-return]
