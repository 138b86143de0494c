"""`Progress`: how far a clinic has come in a run; what the keeper stores and a setup carries on.

It is always the place of the last round that this clinic was asked, open as far as it knows: the
record that closes it comes with the next request, and `history` follows it.  # SPEC 11
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

from cairn_protocol.codec import Fixed, Text, UInt
from cairn_protocol.record import Record
from cairn_protocol.round_messages import Header, genesis
from cairn_protocol.wire_types import RUN_BYTES

NOTHING: Final = bytes(32)


@dataclass(frozen=True)
class Progress(Record):
    """`head` is the transcript before the round that `header` opened; `answer` what was uploaded.

    `question` is empty before the first round; `header`, `answer` and `survivors` (the digest of
    the set that this clinic answered for) are zero where there is none. Store `body` before a
    reply leaves; `from_body` reads it back.
    """

    run: Annotated[bytes, Fixed(RUN_BYTES)]
    setup: Annotated[int, UInt(4)]
    head: Annotated[bytes, Fixed(32)]
    question: Annotated[str, Text(63)] = ""
    round: Annotated[int, UInt(4)] = 0
    attempt: Annotated[int, UInt(2)] = 0
    header: Annotated[bytes, Fixed(32)] = NOTHING
    answer: Annotated[bytes, Fixed(32)] = NOTHING
    survivors: Annotated[bytes, Fixed(32)] = NOTHING

    @classmethod
    def fresh(cls, run: bytes, setup: int) -> Progress:
        """Before the first round of `run`."""
        return cls(run, setup, genesis(run))

    def at_setup(self, setup: int) -> Progress:
        """The same place in the run, under the keys of setup number `setup`."""
        return replace(self, setup=setup)

    def asked(self, header: Header) -> Progress:
        """After `header` was accepted."""
        return replace(
            self,
            head=header.previous,
            question=header.question,
            round=header.round,
            attempt=header.attempt,
            header=header.digest,
            answer=NOTHING,
            survivors=NOTHING,
        )

    def uploaded(self, upload: bytes) -> Progress:
        """After an upload with this digest was made."""
        return replace(self, answer=upload)

    def answered_for(self, survivors: bytes) -> Progress:
        """After survivors with this digest were opened or signed."""
        return replace(self, survivors=survivors)
