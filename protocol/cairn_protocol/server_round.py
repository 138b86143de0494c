"""`ServerRound`: one asked header at the server: uploads, survivors, signatures, openings, sum.

The server's counterpart of `ClinicRound`. It checks that what came is its clinic's and answers
what was asked; `unmasking` does the arithmetic.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.codec import refuse
from cairn_protocol.context import Context
from cairn_protocol.fixed_point import check_wire
from cairn_protocol.identity import Label, verify
from cairn_protocol.messages import (
    Certificate,
    Consent,
    Header,
    Opening,
    RoundRecord,
    SignedConsent,
    Survivors,
    Upload,
)
from cairn_protocol.policy import Policy
from cairn_protocol.roster import Roster
from cairn_protocol.unmasking import Unmasking, sealed_for


class ServerRound:
    """What has come for one header; each `check_…` refuses what must not be kept."""

    def __init__(self, header: Header, context: Context, policy: Policy, roster: Roster) -> None:
        self.header, self.context = header, context
        self.uploads: dict[int, Upload] = {}
        self.consents: dict[int, Consent] = {}
        self.openings: dict[int, Opening] = {}
        self.blamed: tuple[int, ...] = ()  # clinics whose shares were wrong
        self.disputed: tuple[tuple[int, int], ...] = ()  # (dealer, opener): one of them is to blame
        self.survivors: tuple[int, ...] = ()  # U, ascending, once they are named
        self._survivors_digest = b""
        self._policy, self._roster = policy, roster

    @property
    def everyone(self) -> bool:
        """Whether every participant uploaded."""
        return tuple(sorted(self.uploads)) == self.header.participants

    def record(self) -> RoundRecord:
        """The round as the next one will name it."""
        consents = {} if self.everyone else self.consents
        return RoundRecord(
            self.header,
            tuple(upload.signed_digest for _, upload in sorted(self.uploads.items())),
            tuple(SignedConsent(i, consent.signature) for i, consent in sorted(consents.items())),
        )

    def check_upload(self, reply: Upload) -> None:
        """Refuses an upload that is not its clinic's whole answer to the header."""
        if reply.header != self.header.digest:
            refuse("header-differs", "an upload answers another request")
        if reply.modulus_bits != self.context.modulus_bits:
            refuse("vector-size", "an upload is not of the ring that was asked")
        check_wire(reply.vector, reply.modulus_bits, self.context.length)
        self._signed(reply, "upload", "upload-forged", "its upload")
        key = self._roster.entries[reply.clinic].identity
        if reply.mark.identity != key or not reply.mark.genuine():
            refuse("mark-forged", f"{self._name(reply)} shows a mark that is not its own")
        if reply.dealt != (len(self.header.participants) if self._policy.recovers else 0):
            refuse("shares-missing", f"{self._name(reply)} did not deal the shares that it should")

    def check_consent(self, reply: Consent) -> None:
        """Refuses a signature on other survivors, or another's."""
        self._check_answer(reply)
        self._signed(reply, "survivors", "consent-forged", "the survivors")

    def check_opening(self, reply: Opening) -> None:
        """Refuses an opening for other survivors, with parts missing, or another's."""
        self._check_answer(reply)
        gone = len(self.header.participants) - len(self.survivors)
        if (reply.opened, reply.revealed) != (len(self.survivors), gone):
            refuse("shares-missing", f"{self._name(reply)} did not open every share")
        self._signed(reply, "opening", "opening-forged", "its opening")

    def _check_answer(self, reply: Consent | Opening) -> None:
        if (reply.header, reply.survivors) != (self.header.digest, self._survivors_digest):
            refuse("header-differs", "a clinic answered for another round or other survivors")

    def _signed(
        self, reply: Upload | Consent | Opening, label: Label, code: str, what: str
    ) -> None:
        key = self._roster.entries[reply.clinic].identity
        if not verify(key, label, reply.signed, reply.signature):
            refuse(code, f"{self._name(reply)} did not sign {what}")

    def _name(self, reply: Upload | Consent | Opening) -> str:
        return self._roster.entries[reply.clinic].clinic

    def name_survivors(self) -> dict[int, Survivors]:
        """Who survived, for each survivor with the shares that are sealed for it."""
        record = self.record()
        self.survivors, self._survivors_digest = record.survivors, record.survivors_digest
        run, header, uploads = self.header.run, self.header.digest, record.uploads
        sealed = sealed_for(self.header.participants, self.uploads)
        return {
            clinic: Survivors(run, header, uploads, shares) for clinic, shares in sealed.items()
        }

    def certificates(self) -> dict[int, Certificate]:
        """The survivors' signatures, for each of them with the shares that are sealed for it."""
        consents = self.record().consents
        return {
            clinic: Certificate(self.header.run, named, consents)
            for clinic, named in self.name_survivors().items()
        }

    def total(self) -> NDArray[np.int64]:
        """The sum over the survivors, (length,) int64.

        Raises:
            PeerFault: `peer.shares-wrong`; `blamed` says whose.
        """
        work = Unmasking(self.header, self.context, self._policy, self.uploads, self.openings)
        try:
            return work.sum() if self._policy.recovers else work.plain_sum()
        finally:
            self.blamed = tuple(sorted(work.blamed))
            self.disputed = tuple(sorted(work.disputed))
