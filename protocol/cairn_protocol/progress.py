"""`Progress`: how far a clinic has come in a run; what the keeper stores and a setup carries on.

Rounds follow one another by a hash chain: a header names the transcript of the finished round
before it. A round that some clinic did not answer is void: its next attempt names the same
transcript.  # SPEC 11
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from cairn_protocol.codec import Fixed, Text, UInt, refuse
from cairn_protocol.identity import verify
from cairn_protocol.messages import (
    RUN_BYTES,
    Header,
    RoundRecord,
    RoundRequest,
    genesis,
    upload_statement,
)
from cairn_protocol.record import Record
from cairn_protocol.roster import Roster

NOTHING: Final = bytes(32)


@dataclass(frozen=True)
class Progress(Record):
    """`head` is the transcript before the round that `header` opened; `answer` what was uploaded.

    `question` is empty before the first round; `header` and `answer` are zero where there is none.
    Store `body` before a reply leaves; `from_body` reads it back.
    """

    run: Annotated[bytes, Fixed(RUN_BYTES)]
    setup: Annotated[int, UInt(4)]
    head: Annotated[bytes, Fixed(32)]
    question: Annotated[str, Text(63)] = ""
    round: Annotated[int, UInt(4)] = 0
    attempt: Annotated[int, UInt(2)] = 0
    header: Annotated[bytes, Fixed(32)] = NOTHING
    answer: Annotated[bytes, Fixed(32)] = NOTHING

    @classmethod
    def fresh(cls, run: bytes, setup: int) -> Progress:
        """Before the first round of `run`."""
        return cls(run, setup, genesis(run))

    def at_setup(self, setup: int) -> Progress:
        """The same place in the run, under the keys of setup number `setup`."""
        return replace(self, setup=setup)

    def asked(self, header: Header, head: bytes) -> Progress:
        """After `header` was accepted behind the transcript `head`."""
        return replace(
            self,
            head=head,
            question=header.question,
            round=header.round,
            attempt=header.attempt,
            header=header.digest,
            answer=NOTHING,
        )

    def answered(self, vector: bytes) -> Progress:
        """After a vector with this digest was uploaded."""
        return replace(self, answer=vector)

    def check_next(self, header: Header, questions: Sequence[str]) -> None:
        """Refuses a header that does not come next.

        Next is: a later attempt of the same round, the next round of the same question, or
        round 0 of a question that stands later in the study.

        Raises:
            PeerFault: `peer.question-unknown`, `peer.round-past` (a replay), `peer.round-order`.
        """
        if header.question not in questions:
            refuse("question-unknown", "the study does not ask this question")
        if self.question:
            ahead = questions.index(header.question) - questions.index(self.question)
            here = (0, self.round, self.attempt)
        else:
            ahead, here = 1, (0, 0, -1)
        if (ahead, header.round, header.attempt) <= here or ahead < 0:
            refuse("round-past", "this round was asked before", hint="a replay, or a stale server")
        if header.round not in ((self.round, self.round + 1) if ahead == 0 else (0,)):
            refuse("round-order", "a round was skipped")

    def next_head(self, request: RoundRequest, roster: Roster) -> bytes:
        """The transcript that `request` follows, checked.

        Raises:
            PeerFault: `peer.transcript-differs`, or `peer.record-forged` where a clinic's
                signature in the record is not its own.
        """
        header = request.header
        if request.record and request.record[0].digest != header.previous:
            refuse("transcript-differs", "the record is not the one that the header names")
        onward = header.question == self.question and header.round == self.round + 1
        if header.previous == self.head and not onward:
            return self.head
        if not request.record or not self.question:
            refuse(
                "transcript-differs",
                "the server's history of this run is not the one that this clinic saw",
            )
        self._check_record(request.record[0], roster)
        return header.previous

    def _check_record(self, record: RoundRecord, roster: Roster) -> None:
        own = {upload.vector for upload in record.uploads}
        if record.header != self.header or self.answer == NOTHING or self.answer not in own:
            refuse("transcript-differs", "the record is not of the round that this clinic answered")
        if [upload.clinic for upload in record.uploads] != list(range(len(roster))):
            refuse("transcript-differs", "the record does not hold every clinic's upload")
        for upload, entry in zip(record.uploads, roster.entries, strict=True):
            signed = upload_statement(self.run, upload.clinic, record.header, upload.vector)
            if not verify(entry.identity, "upload", signed, upload.signature):
                refuse("record-forged", "an upload in the record is not signed by its clinic")
