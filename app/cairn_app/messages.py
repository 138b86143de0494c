"""How the command refuses: what happened, why, what to do. Never a traceback for a mistake."""

from __future__ import annotations

import json
import sys
from typing import TextIO

from cairn_protocol.errors import CairnError


def show_error(error: CairnError, *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Print a refusal for a person, or as one JSON object for a program."""
    stream = stream or sys.stderr
    if as_json:
        fields = {"error": error.what, "why": error.why, "hint": error.hint, "code": error.code}
        print(json.dumps(fields), file=stream)
        return
    print(f"error: {error.what}", file=stream)
    for part in error.why.split("; ") if error.why else ():
        print(f"  why: {part}", file=stream)
    if error.hint:
        print(f" hint: {error.hint}", file=stream)
    print(f"       ({error.code})", file=stream)
