"""A whole run in memory: clinics, server, a team; every message goes over the wire as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from cairn_protocol.clinic_round import ClinicRound
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.context import Context, state_bytes
from cairn_protocol.errors import CairnError
from cairn_protocol.fixed_point import encode, largest_reach
from cairn_protocol.identity import Identity
from cairn_protocol.mark import BOOT_BYTES, NO_HEAD, Mark
from cairn_protocol.messages import (
    Certificate,
    Header,
    RoundRequest,
    Upload,
    decode,
    genesis,
)
from cairn_protocol.roots import Agreement, Greeted, Roots
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_round import ServerRound
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study

STUDY = """
cairn = 1
name = "waiting"
title = "Synthetic: does a text message while waiting help?"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = 3000
largest_clinic = 500
[privacy]
data = "{data}"
[disclosure]
clinics = 1
[policy]
clinics = {n}
survivors = {m}
threshold = {t}
colluding = {f}
dropout = "{dropout}"
[[questions]]
name = "effect"
kind = "effect"
{epsilon}
[[questions]]
name = "error"
kind = "error"
{epsilon}
"""
RUN = hashlib.sha256(b"run").digest()[:16]
TEAM = Identity.from_private_bytes(hashlib.sha256(b"team").digest())


def clinic_identity(index: int) -> Identity:
    """The identity of clinic `index`: always the same."""
    return Identity.from_private_bytes(hashlib.sha256(b"clinic %d" % index).digest())


def study_of(
    clinics: int,
    data: str = "patients",
    colluding: int = 1,
    dropout: str = "forbidden",
    survivors: int | None = None,
    threshold: int | None = None,
) -> Study:
    """A study for so many clinics; all must survive and share unless said otherwise."""
    epsilon = "epsilon = 1.0" if data == "patients" else ""
    text = STUDY.format(
        n=clinics,
        m=survivors or clinics,
        t=threshold or survivors or clinics,
        f=colluding,
        data=data,
        epsilon=epsilon,
        dropout=dropout,
    )
    return Study.parse(text.encode())


@dataclass
class Federation:
    """Everything that a run needs, built to the point where rounds can be asked."""

    clinics: int
    data: str = "patients"
    colluding: int = 1
    dropout: str = "forbidden"
    survivors: int | None = None
    threshold: int | None = None
    study: Study = field(init=False)
    identities: list[Identity] = field(init=False)
    runs: list[ClinicRun] = field(init=False, default_factory=list)
    requests_again: dict[int, RoundRequest] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.study = study_of(
            self.clinics,
            self.data,
            self.colluding,
            self.dropout,
            self.survivors,
            self.threshold,
        )
        self.team = TEAM
        self.identities = [clinic_identity(i) for i in range(self.clinics)]
        self.signed = SignedStudy.sign(self.study, TEAM)
        names = {f"clinic-{i:03}": key.public for i, key in enumerate(self.identities)}
        self.roster = Roster.first(self.signed, names)
        self.signed_roster = SignedRoster.sign(self.roster, TEAM)
        self.server, self.opening = ServerRun.open(RUN, self.signed, self.signed_roster)

    def mark(self, clinic: int, epoch: int = 1, boot: bytes = b"b", head: bytes = NO_HEAD) -> Mark:
        """Where a clinic stands."""
        return Mark.sign(self.identities[clinic], epoch, boot * BOOT_BYTES, head)

    def open(self, clinic: int, opening=None, **settings):
        """Clinic's run and key package."""
        settings = {
            "team_public": TEAM.public,
            "approved_digest": self.study.digest,
            "data_are_public": self.data == "public",
            "mark": self.mark(clinic),
            "verified": frozenset(key.public for key in self.identities),
        } | settings
        return ClinicRun.open(self.identities[clinic], opening or self.opening, **settings)

    def opened(self, without=()) -> Federation:
        """After every clinic (but `without`) sent its key package."""
        self.runs = []
        for clinic in range(self.clinics):
            run, package = self.open(clinic)
            self.runs.append(run)
            if clinic not in without:
                self.server.receive(clinic, decode(package.to_bytes()))
        return self

    def agreed(self, without=()) -> Federation:
        """After every clinic (but `without`) confirmed T1."""
        self.opened(without)
        packages = decode(self.server.packages().to_bytes())
        for clinic, run in enumerate(self.runs):
            if clinic not in without:
                reply = run.confirm(packages, {})
                self.server.receive(clinic, decode(reply.to_bytes()))
        return self

    def context(
        self, round_=0, attempt=0, question="effect", length=5, bits=64, state=None, **changes
    ) -> Context:
        """The context of an attempt."""
        settings = {
            "study": self.study.digest,
            "roster": self.roster.digest,
            "question": question,
            "round": round_,
            "attempt": attempt,
            "public_state": state_bytes(np.zeros(3) if state is None else state),
            "length": length,
            "bound": 1.0,
            "sigma": 4.2,
            "grid": 2.0**-16,
            "reach": largest_reach(self.clinics, bits),
            "modulus_bits": bits,
        } | changes
        return Context.of(**settings)

    def requests(self, context: Context, state=None) -> dict[int, RoundRequest]:
        """The server's request for each clinic, over the wire."""
        state = state_bytes(np.zeros(3) if state is None else state)
        made = self.server.request(context, state)
        return {clinic: decode(message.to_bytes()) for clinic, message in made.items()}

    def forge_request(self, context: Context, t1: bytes, notes) -> RoundRequest:
        """A request that a lying server makes up."""
        header = Header(
            run=RUN,
            t1=t1,
            question=context.question,
            round=context.round,
            attempt=context.attempt,
            participants=tuple(range(self.clinics)),
            context=context.digest,
            previous=genesis(RUN),
        )
        return RoundRequest(header, state_bytes(np.zeros(3)), tuple(notes))

    def upload(self, clinic: int, request: RoundRequest, context: Context, vector) -> Upload:
        """Clinic's upload of an int64 vector."""
        self.runs[clinic].accept(request, context, everything)
        ring = encode(np.asarray(vector), reach=context.reach, modulus_bits=context.modulus_bits)
        return self.runs[clinic].upload(request, ring, self.mark(clinic))

    def ask(self, vectors, *, lost=(), **where) -> Context:
        """Ask a round; every participant but `lost` uploads its row of `vectors` (n, d) int64."""
        vectors = np.asarray(vectors)
        context = self.context(length=vectors.shape[1], **where)
        self.requests_again = self.requests(context)
        for clinic, request in self.requests_again.items():
            if clinic not in lost:
                reply = self.upload(clinic, request, context, vectors[clinic])
                self.server.receive(clinic, decode(reply.to_bytes()))
        return context

    def unmask(self, *, silent=(), mute=()) -> NDArray[np.int64]:
        """The sum; `silent` clinics answer no survivors, `mute` ones no certificate."""
        for stage, away in ((self.server.survivors, silent), (self.server.certificate, mute)):
            for clinic, message in stage().items():
                if clinic not in away:
                    request = decode(message.to_bytes())
                    answer = self.runs[clinic].survivors
                    if isinstance(request, Certificate):
                        answer = self.runs[clinic].certify
                    self.server.receive(clinic, decode(answer(request).to_bytes()))
        return self.server.total()

    def round(self, vectors, *, lost=(), **where) -> NDArray[np.int64]:
        """The sum of `vectors` (n, d) int64 through the whole protocol, without the `lost`."""
        self.ask(vectors, lost=lost, **where)
        return self.unmask()


def everything(head: bytes) -> bool:
    """A ledger that holds every head."""
    return True


@pytest.fixture(scope="session")
def federate() -> type[Federation]:
    """`Federation` itself, for tests of several sizes."""
    return Federation


def snapshot(run: object) -> dict[str, object]:
    """All that a run holds, copied, down to its rounds and roots."""
    return {name: _copied(value) for name, value in vars(run).items()}


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, bytearray | set | list):
        return copy(value)
    if isinstance(value, ClinicRound | ServerRound | Roots | Greeted | Agreement):
        return snapshot(value)
    return value


@contextmanager
def refusing(code: str, *runs: ClinicRun | ServerRun) -> Iterator[None]:
    """The block is refused with `code`, and leaves no trace in `runs`."""
    before = [snapshot(run) for run in runs]
    with pytest.raises(CairnError) as refused:
        yield
    assert refused.value.code == code, str(refused.value)
    assert [snapshot(run) for run in runs] == before


@pytest.fixture(scope="session")
def refuses() -> Callable[..., AbstractContextManager[None]]:
    """`refusing`, for tests."""
    return refusing


@pytest.fixture(scope="session")
def snapshots() -> Callable[[ClinicRun | ServerRun], dict[str, object]]:
    """`snapshot`, for tests."""
    return snapshot


@pytest.fixture
def three() -> Federation:
    """Three clinics that have agreed on their keys."""
    return Federation(3).agreed()
