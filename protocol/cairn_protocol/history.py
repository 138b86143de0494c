"""`follow`: the finished rounds between a clinic's place and a request, each of them checked.

Rounds follow one another by a hash chain: a header names the transcript of the finished round
before it. A round that was not opened is void: its next attempt names the same transcript. A
clinic that was away walks every record that it missed, and can then turn its keys as often as the
others did. R9 is kept here.  # SPEC 11
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cairn_protocol.codec import refuse
from cairn_protocol.identity import verify
from cairn_protocol.mark import Mark
from cairn_protocol.progress import NOTHING, Progress
from cairn_protocol.roster import Roster
from cairn_protocol.round_messages import (
    Header,
    RoundRecord,
    consent_statement,
)

_FIRST: Final = -1


@dataclass(frozen=True)
class _Place:
    """A round of a question, by the question's number in the study; `closed`: it has a record."""

    question: int
    round: int
    attempt: int
    closed: bool


class History:
    """What records are judged by: who takes part in the run, with how many survivors and signers.

    Args:
        own: this clinic's index.
        least: m, fewest survivors of a round.
        threshold: t, fewest signatures on survivors that are not all participants.
        questions: the study's, in order.
    """

    def __init__(
        self,
        own: int,
        roster: Roster,
        run: bytes,
        *,
        least: int,
        threshold: int,
        questions: Sequence[str],
    ) -> None:
        self._own, self._roster, self._run = own, roster, run
        self._least, self._threshold = least, threshold
        self._questions = list(questions)

    def follow(
        self, progress: Progress, header: Header | None, records: Sequence[RoundRecord]
    ) -> tuple[RoundRecord, ...]:
        """The records that are news to this clinic, in order; `header` follows the last of them.

        Without a header the run ends behind them.

        Raises:
            PeerFault: `peer.question-unknown`, `peer.round-past` (a replay), `peer.round-order`,
                `peer.transcript-differs`, or `peer.record-forged` where a signature is not its
                clinic's.
        """
        known = [record.header.previous for record in records]
        news = tuple(records[known.index(progress.head) :]) if progress.head in known else ()
        head, place = progress.head, self._place(progress)
        for record in news:
            if record.header.previous != head:
                refuse("transcript-differs", "the records do not follow one another")
            place = self._next(place, record.header, same=record.header.digest == progress.header)
            self._check(record, progress)
            head = record.digest
            place = _Place(place.question, place.round, place.attempt, closed=True)
        if header is not None:
            self._next(place, header, same=False)
            if header.previous != head:
                refuse(
                    "transcript-differs",
                    "the server's history of this run is not the one that this clinic saw",
                )
        return news

    def _place(self, progress: Progress) -> _Place:
        if not progress.question:
            return _Place(_FIRST, 0, 0, closed=True)
        question = self._questions.index(progress.question)
        return _Place(question, progress.round, progress.attempt, closed=False)

    def _next(self, place: _Place, header: Header, *, same: bool) -> _Place:
        """The place of `header`, if it can come after `place`; `same`: it is that very round."""
        if header.question not in self._questions:
            refuse("question-unknown", "the study does not ask this question")
        after = _Place(
            self._questions.index(header.question), header.round, header.attempt, closed=False
        )
        if after.question > place.question:
            if after.round:
                refuse("round-order", "a question's first rounds were skipped")
            return after
        here = (place.question, place.round + 1, -1)
        if not place.closed:
            here = (place.question, place.round, place.attempt + (0 if same else 1))
        if (after.question, after.round, after.attempt) < here:
            refuse("round-past", "this round was asked before", hint="a replay, or a stale server")
        if after.round != here[1]:
            refuse("round-order", "a round was skipped")
        return after

    def _check(self, record: RoundRecord, progress: Progress) -> None:
        header = record.header
        if header.run != self._run:
            refuse("run-foreign", "a record is of another run")
        everyone = set(header.participants) <= set(range(len(self._roster)))
        enough = len(header.participants) >= len(record.survivors) >= self._least
        if not (everyone and enough and set(record.survivors) <= set(header.participants)):
            refuse("transcript-differs", "a record holds clinics that it cannot hold")
        self._check_own(record, progress)
        for upload in record.uploads:
            key, signed = self._key(upload.clinic), upload.signed(self._run, header.digest)
            if upload.mark.identity != key or not verify(key, "upload", signed, upload.signature):
                refuse("record-forged", "an upload in a record is not signed by its clinic")
        if record.survivors != header.participants:
            self._check_consents(record)

    def _check_consents(self, record: RoundRecord) -> None:
        signers = {consent.clinic for consent in record.consents}
        if not signers <= set(record.survivors) or len(signers) < self._threshold:
            refuse("transcript-differs", "too few survivors signed a record without some clinic")
        for consent in record.consents:
            signed = consent_statement(
                self._run, consent.clinic, record.header.digest, record.survivors_digest
            )
            if not verify(self._key(consent.clinic), "survivors", signed, consent.signature):
                refuse("record-forged", "a consent in a record is not signed by its clinic")

    def _check_own(self, record: RoundRecord, progress: Progress) -> None:
        """Refuses a record that says otherwise of this clinic than it remembers."""
        said = [upload.upload for upload in record.uploads if upload.clinic == self._own]
        ours = record.header.digest == progress.header
        if said and (not ours or progress.answer == NOTHING or said != [progress.answer]):
            refuse(
                "transcript-differs",
                "a record holds an upload that this clinic did not make",
                why="another machine may hold its identity",
            )
        if ours and progress.survivors not in (NOTHING, record.survivors_digest):
            refuse("transcript-differs", "this clinic answered for other survivors")

    def _key(self, clinic: int) -> bytes:
        return self._roster.entries[clinic].identity


def marks_of_others(records: Sequence[RoundRecord], own: int) -> tuple[Mark, ...]:
    """The newest marks in `records`, which follow one another, of other clinics than `own`."""
    newest = {u.clinic: u.mark for record in records for u in record.uploads}
    return tuple(mark for clinic, mark in newest.items() if clinic != own)
