"""`Findings` and `Received`: what a study found, back at the clinics whose patients it is about.

A clinic keeps what its research team signed, and says so in its own word.  # SPEC 5.15
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Final

from cairn_protocol.codec import Blob, Text
from cairn_protocol.context import LARGEST_STATE
from cairn_protocol.record import Many, Record
from cairn_protocol.wire_types import Hash, Signature, Signed

RESULTS: Final = "results.json"
LARGEST_FILES: Final = LARGEST_STATE  # bytes of all files together
MOST_FILES: Final = 64
FILE_NAME: Final = re.compile(
    r"(?:[a-z][a-z0-9_-]{0,62}/)?[a-zA-Z][a-zA-Z0-9_-]{0,62}(\.[a-z]{1,15})?"
)


@dataclass(frozen=True)
class FoundFile(Record):
    """A file by its name: one of the study, or behind a `/` one of the model of a question."""

    name: Annotated[str, Text(160)]
    data: Annotated[bytes, Blob(LARGEST_FILES)]

    def fault(self) -> str:
        return "" if FILE_NAME.fullmatch(self.name) else "name must be that of a file"


@dataclass(frozen=True)
class Findings(Signed):
    """A study's released results, and its trained models. The team signs all of it."""

    kind: ClassVar[int] = 18
    label: ClassVar[str] = "findings"

    study: Hash  # SignedStudy.digest
    files: Annotated[tuple[FoundFile, ...], Many(FoundFile, MOST_FILES)]
    signature: Signature

    def fault(self) -> str:
        names = [file.name for file in self.files]
        if any(a >= b for a, b in pairwise(names)):
            return "files must ascend strictly by name"
        if RESULTS not in names:
            return "files must hold the results"
        if sum(len(file.data) for file in self.files) > LARGEST_FILES:
            return f"files must be at most {LARGEST_FILES} bytes together"
        return ""


@dataclass(frozen=True)
class Received(Signed):
    """A clinic's word that it has these findings and keeps them."""

    kind: ClassVar[int] = 19

    study: Hash  # SignedStudy.digest
    findings: Hash  # Findings.digest
    identity: Hash  # the clinic's public key
    signature: Signature
