"""The package through a run of `slow_run`, with what the other has fixed for what it would draw.

Keys, nonces, encapsulations and polynomials are those of `slow_protocol.fixed`; all else is the
package's own doing.
"""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

import slow_mlkem
import slow_protocol
import slow_run
from cairn_protocol import clinic_run, roots, shares
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.context import Context
from cairn_protocol.fixed_point import encode
from cairn_protocol.identity import Identity
from cairn_protocol.keys import KeyPair
from cairn_protocol.mark import Mark
from cairn_protocol.messages import OpenRun, decode
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from slow_protocol import PRIME, Clinic, fixed
from slow_run import Scenario


def differences(coefficients: list[int]) -> list[int]:
    """The polynomial as `shares.deal` draws it: its forward differences at 0, P(0) first."""
    values = slow_protocol.shares(coefficients, list(range(len(coefficients))))
    return [
        sum((-1) ** (k - i) * comb(k, i) * values[i] for i in range(k + 1)) % PRIME
        for k in range(len(values))
    ]


class FastRun:
    """The package through a run of `slow_run`; `sent` and `sums` as there."""

    def __init__(self, patch: pytest.MonkeyPatch, scenario: Scenario) -> None:
        self.patch, self.scenario = patch, scenario
        self.clinics = [Clinic(i) for i in range(scenario.clinics)]
        self.identities = [Identity.from_private_bytes(c.secret) for c in self.clinics]
        self.sent: list[tuple[int, bytes]] = []
        self.attempt = 0
        self.sums: list[list[int]] = []
        team = Identity.from_private_bytes(slow_run.TEAM)
        self.study = Study.parse(scenario.study)
        signed = SignedStudy.sign(self.study, team)
        names = {f"clinic-{i}": identity.public for i, identity in enumerate(self.identities)}
        self.roster = Roster.first(signed, names)
        self.server, opening = ServerRun.open(
            slow_run.RUN, signed, SignedRoster.sign(self.roster, team)
        )
        self.send(-1, opening)
        self.runs = [self.open(clinic, opening, team.public) for clinic in self.clinics]
        self.agree()
        for number in range(len(scenario.lost)):
            self.round(number)
        closing = self.server.close("done")
        for clinic, message in closing.items():
            self.send(clinic, message)
        for clinic, message in closing.items():
            self.send(clinic, self.runs[clinic].close(message))

    def send(self, clinic: int, message):
        """Notes the message, and gives what the other side reads."""
        data = message.to_bytes()
        self.sent.append((clinic, data))
        return decode(data)

    def reply(self, clinic: int, message) -> None:
        self.server.receive(clinic, self.send(clinic, message))

    def mark(self, clinic: int, epoch: int, head: bytes) -> Mark:
        return Mark.sign(self.identities[clinic], epoch, self.clinics[clinic].boot, head)

    def open(self, clinic: Clinic, opening: OpenRun, team: bytes) -> ClinicRun:
        pair = KeyPair.from_private_bytes(clinic.x25519, clinic.mlkem)
        self.patch.setattr(KeyPair, "generate", lambda: pair)
        self.patch.setattr(clinic_run.os, "urandom", lambda size: clinic.nonce[:size])
        run, package = ClinicRun.open(
            self.identities[clinic.index],
            opening,
            team_public=team,
            approved_digest=self.study.digest,
            mark=self.mark(clinic.index, 1, self.scenario.head(clinic.index, 0)),
            verified=frozenset(identity.public for identity in self.identities),
        )
        self.patch.undo()
        self.reply(clinic.index, package)
        return run

    def agree(self) -> None:
        packages = self.send(-1, self.server.packages())
        index = {clinic.ek: clinic.index for clinic in self.clinics}
        for i, run in enumerate(self.runs):
            self.patch.setattr(
                roots,
                "encapsulate",
                lambda ek, i=i: slow_mlkem.encapsulate(ek, fixed(f"mlkem {i} {index[ek]}")),
            )
            after = (i + 1) % self.scenario.clinics
            seen = self.mark(after, 0, self.scenario.head(after, 0))
            self.reply(i, run.confirm(packages, {seen.identity: seen}))
        self.patch.undo()

    def round(self, number: int) -> None:
        round_, attempt = len(self.sums), self.attempt
        context = Context.of(
            study=self.study.digest,
            roster=self.roster.digest,
            question="effect",
            round=round_,
            attempt=attempt,
            public_state=slow_run.STATE,
            length=5,
            bound=1.0,
            sigma=4.25,
            grid=2.0**-10,
            reach=self.scenario.reach,
            modulus_bits=self.scenario.bits,
        )
        requests = self.server.request(context, slow_run.STATE)
        requests = {i: self.send(i, request) for i, request in requests.items()}
        for i, request in requests.items():
            self.runs[i].accept(request, context, lambda head: True)
            if i not in self.scenario.lost[number]:
                self.upload(i, number, request)
        if self.scenario.void(number):
            assert not self.server.enough
            self.attempt += 1
            return
        named = {i: self.send(i, m) for i, m in self.server.survivors().items()}
        for i, message in named.items():
            self.reply(i, self.runs[i].survivors(message))
        certificates = {i: self.send(i, m) for i, m in self.server.certificate().items()}
        for i, message in certificates.items():
            self.reply(i, self.runs[i].certify(message))
        self.sums.append(self.server.total().tolist())
        self.attempt = 0

    def upload(self, i: int, number: int, request) -> None:
        drawn = differences(self.clinics[i].polynomial(number, self.scenario.threshold))
        self.patch.setattr(shares, "_random", lambda count: [drawn.pop(0) for _ in range(count)])
        values, bits = np.array(self.scenario.vector(i)), self.scenario.bits
        vector = encode(values, reach=self.scenario.reach, modulus_bits=bits)
        mark = self.mark(i, 1, self.scenario.head(i, number + 1))
        self.reply(i, self.runs[i].upload(request, vector, mark))
        self.patch.undo()
