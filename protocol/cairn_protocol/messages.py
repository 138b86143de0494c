"""All messages between a clinic and the server, each in one dataclass; `decode` reads any.

    server                     clinic
    OpenRun        ─────────▶  KeyPackage
    Packages       ─────────▶  Confirmation
    RoundRequest   ─────────▶  Upload            once a round or attempt
    Survivors      ─────────▶  Opening           dropout = "recovered": all survived
    Survivors      ─────────▶  Consent           dropout = "recovered": some did not
    Certificate    ─────────▶  Opening
    CloseRun       ─────────▶  Closed
    Offer          ─────────▶  Standing          before any run, and whenever the server asks
    AuditRequest   ─────────▶  AuditHead         now and then, and after each run
    Findings       ─────────▶  Received          once a study's results were released
    any            ─────────▶  Refusal           instead

The annotations are the wire format, in order.  # SPEC 5
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from cairn_protocol.codec import Text, refuse, unframed
from cairn_protocol.context import LARGEST_STATE
from cairn_protocol.countersigning import AuditHead, AuditReceipt, AuditRequest
from cairn_protocol.errors import CairnError, PeerFault
from cairn_protocol.findings import Findings, FoundFile, Received
from cairn_protocol.record import Message, Nested
from cairn_protocol.roster import SignedRoster
from cairn_protocol.round_messages import (
    Certificate,
    Closed,
    CloseRun,
    Consent,
    Header,
    Opening,
    RoundRecord,
    RoundRequest,
    SignedConsent,
    SignedDigest,
    Survivors,
    Upload,
    genesis,
)
from cairn_protocol.setup_messages import (
    Confirmation,
    KeyPackage,
    Note,
    OpenRun,
    Packages,
)
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.wire_types import RUN_BYTES, UNSIGNED, Hash, Signature, Signed

__all__ = [
    "KINDS",
    "LARGEST_MESSAGE",
    "RUN_BYTES",
    "UNSIGNED",
    "AnyMessage",
    "AuditHead",
    "AuditReceipt",
    "AuditRequest",
    "Certificate",
    "CloseRun",
    "Closed",
    "Confirmation",
    "Consent",
    "Findings",
    "FoundFile",
    "Header",
    "KeyPackage",
    "Note",
    "Offer",
    "OpenRun",
    "Opening",
    "Packages",
    "Received",
    "Refusal",
    "RoundRecord",
    "RoundRequest",
    "SignedConsent",
    "SignedDigest",
    "Standing",
    "Survivors",
    "Upload",
    "decode",
    "genesis",
]

LARGEST_MESSAGE: Final = LARGEST_STATE + (4 << 20)
STANDINGS: Final = ("offered", "approved", "refused", "paused")


@dataclass(frozen=True)
class Refusal(Message):
    """Why there is no other reply, as a person should read it. Holds nothing of any patient."""

    kind: ClassVar[int] = 13

    code: Annotated[str, Text(100)]
    what: Annotated[str, Text(500)]
    why: Annotated[str, Text(2000)] = ""
    hint: Annotated[str, Text(500)] = ""

    @classmethod
    def of(cls, error: CairnError) -> Refusal:
        """`error` for the other side; over-long or unprintable parts are cut."""
        return cls(
            _fit(error.code, 100),
            _fit(error.what, 500),
            _fit(error.why, 2000),
            _fit(error.hint, 500),
        )

    def as_error(self) -> PeerFault:
        """The refusal as this side may raise it: `peer.refused`, the other's code in `why`."""
        why = f"[{self.code}] {self.why}".strip()
        return PeerFault(self.what, code="refused", why=why, hint=self.hint)


@dataclass(frozen=True)
class Offer(Message):
    """Asks a clinic's people to consider a study. Nothing is computed; nothing is agreed by it."""

    kind: ClassVar[int] = 14

    study: Annotated[SignedStudy, Nested(SignedStudy)]
    roster: Annotated[SignedRoster, Nested(SignedRoster)]


@dataclass(frozen=True)
class Standing(Signed):
    """How a study stands at a clinic, in its people's word: one of `STANDINGS`."""

    kind: ClassVar[int] = 15

    study: Hash  # SignedStudy.digest
    roster: Hash  # Roster.digest
    identity: Hash  # the clinic's public key
    state: Annotated[str, Text(16)]
    signature: Signature

    def fault(self) -> str:
        return "" if self.state in STANDINGS else "state must be a standing"


AnyMessage = (
    OpenRun
    | KeyPackage
    | Packages
    | Confirmation
    | RoundRequest
    | Upload
    | Survivors
    | Consent
    | Certificate
    | Opening
    | CloseRun
    | Closed
    | Refusal
    | Offer
    | Standing
    | AuditRequest
    | AuditHead
    | Findings
    | Received
)
KINDS: Final[dict[int, type[Message]]] = {
    cls.kind: cls
    for cls in (
        *(OpenRun, KeyPackage, Packages, Confirmation, RoundRequest, Upload),
        *(Survivors, Consent, Certificate, Opening),
        *(CloseRun, Closed, Refusal, Offer, Standing),
        *(AuditRequest, AuditHead, Findings, Received),
    )
}


def decode(data: bytes, limit: int = LARGEST_MESSAGE) -> AnyMessage:
    """The message in `data`, which must be at most `limit` bytes.

    Raises:
        PeerFault: anything but exactly one well-formed message of this version.
    """
    kind, reader = unframed(data, limit)
    if kind not in KINDS:
        refuse("kind-unknown", f"no message has kind {kind}")
    message = KINDS[kind].read(reader)
    reader.end()
    return message  # type: ignore[return-value]  # KINDS holds exactly the members of AnyMessage


def _fit(text: str, most: int) -> str:
    clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return clean.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
