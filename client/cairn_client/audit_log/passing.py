"""`Recorded`: a keeper whose replies are in the audit log before they leave.

It stands between the keeper and its sockets, and looks at the very bytes that are about to go, so
no path of the keeper's code can send what is not written down.

    E1  Every message that leaves is in the log once, with its size and SHA-256; an upload with the
        study, question, round, attempt, and the ledger's entry that paid for it.
    E2  If the log cannot be written, a refusal leaves in its place.
    E3  A kept reply that is asked for again is looked for in the log, and written if a crash came
        between. So whatever left is in the log; what is in the log and never left is the last
        reply before a crash, which stays ready to be asked for, or one that E5 held back.
    E4  What the server can make happen at will is counted, see `Bounded`. Uploads are never: each
        is charged.
    E5  A reply waits for the end of its slot. Where the study was paused, left or refused by a
        tightened policy meanwhile, a refusal leaves in its place, and is in the log beside it. The
        reply is what a pause holds back always: charged, kept, and sent if people approve again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Final, Protocol

from cairn_client.audit_log.bounded import Bounded
from cairn_client.audit_log.catching_up import CatchingUp
from cairn_client.audit_log.countersigned import Countersigned
from cairn_client.audit_log.kinds import Event, Value, event
from cairn_client.audit_log.log import AuditLog
from cairn_client.keeper import Keeper
from cairn_client.keeper_steps import Passing, no_step
from cairn_client.outward import outward
from cairn_privacy.links import Entry as Charge
from cairn_protocol.codec import FRAME_BYTES, MAGIC
from cairn_protocol.errors import CairnError, OurFault
from cairn_protocol.messages import (
    AnyMessage,
    AuditRequest,
    Consent,
    Findings,
    Offer,
    Opening,
    OpenRun,
    Received,
    Refusal,
    RoundRequest,
    Upload,
    decode,
)
from cairn_protocol.record import Message

log = logging.getLogger("cairn.keeper")
SINGLY: Final = 1000  # entries of one kind a day that a server causes; beyond, powers of ten
WHAT: Final = {
    "KeyPackage": "Public keys",
    "Confirmation": "Confirmed keys",
    "Closed": "The end of a run",
    "Standing": "This clinic's word on an offer",
    "Received": "A receipt for results",
    "Consent": "A signature on who survived",
    "Opening": "Shares and seeds",
}


class Names(Protocol):
    """What a study is called here, by its digest; empty where it is not known."""

    def __call__(self, study: bytes) -> str: ...


class Recorded:
    """A keeper behind its audit log. `forward` never raises, as the keeper's own does not.

    Args:
        catching_up: writes down what people decided since it was last called.
        names: of studies.
        passing: is told once an entry is on disk, before the reply leaves.
    """

    def __init__(
        self,
        keeper: Keeper,
        audit: AuditLog,
        catching_up: CatchingUp,
        names: Names,
        *,
        passing: Passing = no_step,
    ) -> None:
        self._keeper, self._audit = keeper, audit
        self._catching_up, self._names = catching_up, names
        self._countersigned = Countersigned(audit, keeper.identity, keeper.team)
        self._refusals, self._kinds = Bounded(singly=1), Bounded(SINGLY)
        self._passing = passing

    def forward(self, request: bytes) -> bytes:
        """The reply to one request, once it is in the log."""
        return _guarded(lambda: self._answer(request))

    def leave(self, request: bytes, reply: bytes) -> bytes:
        """What leaves at the end of a slot, of a `reply` from `forward`: it, or why not (E5).

        Takes no turn: when it leaves must not tell how long the keeper takes over something else.
        """
        return _guarded(lambda: self._still(request, reply))

    def _answer(self, request: bytes) -> bytes:
        if _is_a(AuditRequest, request):
            reply = self._audit_head(request)
        else:
            reply = self._keeper.forward(request)
        self._note(request, reply)
        self._passing("logged")
        return reply

    def _still(self, request: bytes, reply: bytes) -> bytes:
        if _is_a(Refusal, reply):
            return reply
        try:
            self._keeper.check_still(request)
        except CairnError as error:
            log.warning("refused: %s", error.code)
            refusal = outward(error).to_bytes()
            self._note(request, refusal)
            return refusal
        return reply

    def _audit_head(self, request: bytes) -> bytes:
        try:
            message = decode(request)
            assert isinstance(message, AuditRequest)  # noqa: S101 — of its kind
            self._catching_up()
            return self._countersigned.answer(message).to_bytes()
        except CairnError as error:
            if isinstance(error, OurFault):
                raise
            return outward(error).to_bytes()

    def _note(self, request: bytes, reply: bytes) -> None:
        """Writes down what leaves (E1)."""
        said = decode(reply)
        if isinstance(said, Refusal):
            code, times, write = self._refusals.count(said.code)
            if write:
                self._audit.append(event("refused", code=code, times=times))
            return
        sha256 = hashlib.sha256(reply).digest()
        once = f"sent:{sha256.hex()}"
        kind = type(said).__name__
        if kind not in {*WHAT, "Upload"} or self._audit.told(once):  # an AuditHead is an entry
            return
        asked = decode(request)
        if isinstance(asked, Offer):
            self._catching_up()
        if isinstance(asked, Findings) and isinstance(said, Received):
            self._audit.append(
                event(
                    "findings",
                    once=f"findings:{asked.digest.hex()}",
                    study=asked.study.hex(),
                    findings=asked.digest.hex(),
                    bytes=len(request),
                )
            )
        self._append(kind, self._leaving(once, asked, said, sha256, len(reply)))

    def _leaving(
        self, once: str, asked: AnyMessage, said: AnyMessage, sha256: bytes, size: int
    ) -> Event:
        study = self._study(asked)
        run = getattr(asked, "run", b"")
        if isinstance(asked, RoundRequest):
            run = asked.header.run
        common: dict[str, Value] = {
            **{"name": self._names(study), "study": study.hex(), "run": run.hex()},
            **{"bytes": size, "sha256": sha256.hex()},
        }
        match asked, said:
            case RoundRequest(), Upload():
                paid = self._charge(said.upload_digest)
                at = asked.header
                return event(
                    "upload",
                    once=once,
                    **common,
                    question=at.question,
                    round=at.round,
                    attempt=at.attempt,
                    upload=said.upload_digest.hex(),
                    charge=paid.number if paid else 0,
                    units=paid.units if paid else 0,
                )
            case _, Consent() | Opening():
                what, header = WHAT[type(said).__name__], said.header.hex()
                return event("opened", once=once, what=what, header=header, **common)
        return event("sent", once=once, what=WHAT[type(said).__name__], **common)

    def _append(self, kind: str, leaving: Event) -> None:
        if leaving.kind != "upload":  # E4
            _, times, write = self._kinds.count(kind)
            if not write:
                return
            if times > SINGLY:
                leaving = event("more", of=WHAT[kind], times=times)
        self._audit.append(leaving)

    def _charge(self, upload: bytes) -> Charge | None:
        ledger = self._keeper.open_ledger_if_any()
        entries = ledger.entries() if ledger else ()
        return next((e for e in reversed(entries) if e.upload == upload.hex()), None)

    def _study(self, asked: AnyMessage) -> bytes:
        match asked:
            case OpenRun() | Offer():
                return asked.study.digest
            case Findings():
                return asked.study
            case RoundRequest():
                run = asked.header.run
            case _:
                run = getattr(asked, "run", b"")
        place = self._keeper.state.place(run)
        return place.study if place else b""


def _guarded(reply: Callable[[], bytes]) -> bytes:
    try:
        return reply()
    except CairnError as error:
        log.error("refused: %s", error.code)
        return outward(error).to_bytes()
    except Exception as error:
        log.error("could not answer: %s", type(error).__name__)
        return Refusal.of(OurFault("the clinic could not answer", code="answer-failed")).to_bytes()


def _is_a(kind: type[Message], message: bytes) -> bool:
    head = message[:FRAME_BYTES]
    return head[: len(MAGIC)] == MAGIC and head[-1:] == bytes((kind.kind,))
