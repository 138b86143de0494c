"""`Parties`: a server and its clinics in memory, timed step by step; every message goes as bytes.

What a party does with a message is timed from the bytes that it receives to the bytes that it
sends: reading, every check, every signature. Noise, sealing and the disk are the keeper's.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.masking_clock import Clock
from benchmarks.masking_signatures import Signatures
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.context import Context, state_bytes
from cairn_protocol.fixed_point import encode, largest_reach
from cairn_protocol.identity import Identity
from cairn_protocol.mark import BOOT_BYTES, Mark
from cairn_protocol.messages import Certificate, Message, Packages, RoundRequest, Survivors, decode
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study

CLINIC_SETUP: Final = ("open", "confirm", "first request")
CLINIC_UPLOAD: Final = ("request", "encode", "upload")
CLINIC_UNMASK: Final = ("survivors", "certificate")
SERVER_SETUP: Final = ("server open", "server packages", "server notes")
SERVER_UPLOADS: Final = ("server uploads",)
SERVER_OPENINGS: Final = ("server survivors", "server certificate")
SERVER_SUM: Final = ("server sum",)
SERVER_ROUND: Final = ("server ask", *SERVER_UPLOADS, *SERVER_OPENINGS, *SERVER_SUM)
RUN: Final = bytes(16)
T = TypeVar("T")
PUBLIC_STATE: Final = np.zeros(3, dtype=np.float32)  # a question's; a model's would be long
STUDY: Final = """
cairn = 1
name = "masking"
title = "What masking costs"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 3000
largest_clinic = 500
[policy]
clinics = {n}
survivors = {m}
threshold = {m}
colluding = {f}
dropout = "{dropout}"
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
"""


@dataclass(frozen=True)
class Size:
    """`clinics` with vectors of `length` coordinates of `bits`; `dropped` do not upload."""

    clinics: int
    length: int
    dropped: int = 0
    bits: int = 32

    @property
    def recovers(self) -> bool:
        """Whether the study recovers from dropout; three clinics could not do without one."""
        return self.clinics > 4

    def study(self) -> Study:
        """Four clinics of five must survive, share and open; a fifth may collude."""
        n = self.clinics
        least, colluding = (math.ceil(0.8 * n), n // 5) if self.recovers else (n, 1)
        dropout = "recovered" if self.recovers else "forbidden"
        return Study.parse(STUDY.format(n=n, m=least, f=colluding, dropout=dropout).encode())


class Parties:
    """After `agree`, `round` can be called again and again."""

    def __init__(self, size: Size) -> None:
        self.size, self.signatures = size, Signatures()
        self.clock = Clock(lambda: self.signatures.spent)
        self.team = Identity.generate()
        self.identities = [Identity.generate() for _ in range(size.clinics)]
        self.signed = SignedStudy.sign(size.study(), self.team)
        names = {f"clinic-{i:04}": key.public for i, key in enumerate(self.identities)}
        self.roster = SignedRoster.sign(Roster.first(self.signed, names), self.team)
        self.reach = largest_reach(size.clinics, size.bits)
        self.vectors = np.random.default_rng(1).integers(
            -self.reach, self.reach, (3, size.length), endpoint=True
        )  # clinic i has row i modulo 3, so that a hundred fit into memory
        self.upload_bytes = 0
        self.rounds = 0
        self.server: ServerRun
        self.runs: dict[int, ClinicRun]

    def mark(self, clinic: int) -> Mark:
        """Where a clinic stands: the first boot, after so many rounds."""
        head = hashlib.sha256(b"%d" % self.rounds).digest()
        return Mark.sign(self.identities[clinic], 1, bytes(BOOT_BYTES), head)

    def open(self, clinic: int, opening: bytes) -> tuple[ClinicRun, bytes]:
        """A clinic's run and its key package."""
        run, package = ClinicRun.open(
            self.identities[clinic],
            decode(opening),
            team_public=self.team.public,
            approved_digest=self.signed.digest,
            mark=self.mark(clinic),
            verified=frozenset(key.public for key in self.identities),
        )
        return run, package.to_bytes()

    def agree(self) -> None:
        """A new setup: the server has every clinic's notes."""
        clock, everyone = self.clock, range(self.size.clinics)
        with clock("server open"):
            self.server, message = ServerRun.open(RUN, self.signed, self.roster)
            opening = message.to_bytes()
        self.runs, packages = {}, {}
        for clinic in everyone:
            with clock("open"):
                run, packages[clinic] = self.open(clinic, opening)
            self.runs[clinic] = run
        with clock("server packages"):
            self._receive(packages)
            relayed = self.server.packages().to_bytes()
        notes = {}
        for clinic, run in self.runs.items():
            with clock("confirm"):
                notes[clinic] = self.confirm(run, relayed)
        with clock("server notes"):
            self._receive(notes)
        self.rounds = 0

    def confirm(self, run: ClinicRun, relayed: bytes) -> bytes:
        """A clinic's notes to the others."""
        return run.confirm(_is(Packages, decode(relayed)), {}).to_bytes()

    def round(self) -> NDArray[np.int64]:
        """The sum of one round, the last clinics being dropped; a setup's first also takes notes.

        Raises:
            AssertionError: the sum is not that of the vectors.
        """
        answering = range(self.size.clinics - self.size.dropped)
        context = self.context()
        requests = self.ask(context)
        total = self.finish({i: self.upload(i, requests[i], context) for i in answering})
        expected = sum(self.vectors[clinic % 3] for clinic in answering)
        assert np.array_equal(total, expected), "the sum is wrong"
        return total

    def ask(self, context: Context) -> dict[int, bytes]:
        """The request to every clinic."""
        with self.clock("server ask"):
            return _sent(self.server.request(context, state_bytes(PUBLIC_STATE)))

    def finish(self, uploads: dict[int, bytes]) -> NDArray[np.int64]:
        """The sum of these clinics' uploads."""
        with self.clock("server uploads"):
            self._receive(uploads)
            named = _sent(self.server.survivors())
        openings = self.answer("survivors", named)
        with self.clock("server survivors"):
            self._receive(openings)
            certificates = _sent(self.server.certificate())
        openings = self.answer("certificate", certificates)
        with self.clock("server certificate"):
            self._receive(openings)
        with self.clock("server sum"):
            total = self.server.total()
        self.rounds += 1
        return total

    def context(self) -> Context:
        """Of the next round."""
        size = self.size
        return Context.of(
            study=self.signed.digest,
            roster=self.roster.roster.digest,
            question="effect",
            round=self.rounds,
            attempt=0,
            public_state=state_bytes(PUBLIC_STATE),
            length=size.length,
            bound=1.0,
            sigma=4.2,
            grid=2.0**-16,
            reach=self.reach,
            modulus_bits=size.bits,
        )

    def upload(self, clinic: int, request: bytes, context: Context) -> bytes:
        """A clinic's upload."""
        run = self.runs[clinic]
        with self.clock("request" if self.rounds else "first request"):
            asked = _is(RoundRequest, decode(request))
            run.accept(asked, context, lambda head: True)
        with self.clock("encode"):
            ring = encode(self.vectors[clinic % 3], reach=self.reach, modulus_bits=self.size.bits)
        with self.clock("upload"):
            upload = run.upload(asked, ring, self.mark(clinic))
            del ring
            sent = upload.to_bytes()
        self.upload_bytes = len(sent)
        return sent

    def answer(self, stage: str, messages: dict[int, bytes]) -> dict[int, bytes]:
        """Every clinic's answer to the survivors or their certificate."""
        replies = {}
        for clinic, data in messages.items():
            run = self.runs[clinic]
            with self.clock(stage):
                message = decode(data)
                if isinstance(message, Certificate):
                    reply: Message = run.certify(message)
                else:
                    reply = run.survivors(_is(Survivors, message))
                replies[clinic] = reply.to_bytes()
        return replies

    def _receive(self, replies: dict[int, bytes]) -> None:
        for clinic, data in replies.items():
            self.server.receive(clinic, decode(data, self.server.reply_limit))


def _sent(messages: dict[int, Message]) -> dict[int, bytes]:
    return {clinic: message.to_bytes() for clinic, message in messages.items()}


def _is(cls: type[T], message: object) -> T:
    assert isinstance(message, cls)
    return message
