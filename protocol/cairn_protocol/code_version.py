"""Which versions of Cairn's code answer a study: one of them exactly, or from one of them on.

"0.3.1" is that version and no other, ">=0.3" that one and every later one. A release is named by
numbers between points; what a build adds to them (".dev2", "+local") makes it no named release.
"""

from __future__ import annotations

import re
from typing import Final

WANTED: Final = r"^((>=)?\d{1,4}(\.\d{1,4}){0,3})?$"
_NUMBERS: Final = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}")


def accepts(wanted: str, version: str) -> bool:
    """Whether `wanted` (as `WANTED` has it; empty: any) names the release `version`."""
    if not wanted:
        return True
    if not _NUMBERS.fullmatch(version):
        return False
    least = wanted.startswith(">=")
    named, here = _numbers(wanted.removeprefix(">=")), _numbers(version)
    return here >= named if least else here == named


def words(wanted: str) -> str:
    """`wanted` as people read it."""
    least = wanted.startswith(">=")
    return f"{wanted.removeprefix('>=')} or later" if least else wanted


def _numbers(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
