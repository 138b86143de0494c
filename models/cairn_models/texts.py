"""`in_all_texts`: an answer with each of its texts changed, wherever it stands; numbers stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from cairn_models.answers import Answer

KEPT: Final = ("question", "kind", "released")
LINES: Final = ("middle", "low", "high")
T = TypeVar("T")


def in_all_texts(answer: Answer, change: Callable[[str], str]) -> Answer:
    """`answer` with `change` applied to every text but its question's name and kind."""
    return _mapped(answer, change)


def _mapped(value: T, change: Callable[[str], str]) -> T:
    result: Any = value
    if isinstance(value, str):
        result = change(value)
    elif is_dataclass(value) and not isinstance(value, type):
        kept = KEPT if isinstance(value, Answer) else ()
        parts = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in kept}
        result = replace(value, **{k: _mapped(v, change) for k, v in parts.items()})
    elif isinstance(value, tuple):
        result = tuple(_mapped(v, change) for v in value)
    elif isinstance(value, Mapping):
        result = {k if k in LINES else change(str(k)): _mapped(v, change) for k, v in value.items()}
    return result  # type: ignore[no-any-return]
