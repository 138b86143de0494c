"""Three keepers over tiny clinics, and a server's side that a test drives message by message."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cairn_client.keeper import Keeper
from cairn_models.questions import build
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.context import state_bytes
from cairn_protocol.messages import RoundRequest, decode
from cairn_protocol.record import Message
from cairn_protocol.roster import SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study

STUDY = """
cairn = 1
name = "tiny"
title = "A tiny study"
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 9
largest_clinic = 5
[policy]
clinics = 3
survivors = 3
threshold = 3
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 1.0
rounds = 2
"""
MAPPING = """
cairn = 1
[scores]
file = "scores.csv"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
[patients]
file = "patients.csv"
patient = "patient"
arm = "arm"
"""


def write_clinic(folder: Path, name: str, *, data: str = "patients", cap: float = 8.0) -> Path:
    """A clinic of three patients with an obvious marker in their identifiers."""
    folder.mkdir(parents=True)
    config = f'name = "{name}"\ndata = "{data}"\ncap_epsilon = {cap}\n'
    (folder / "clinic.toml").write_text(config)
    (folder / "mapping.toml").write_text(MAPPING)
    people = [(f"SECRET-{name}-{i}", arm) for i, arm in enumerate(("waiting", "dmhi_guided") * 2)]
    (folder / "patients.csv").write_text(
        "patient,arm\n" + "".join(f"{p},{arm}\n" for p, arm in people)
    )
    (folder / "scores.csv").write_text(
        "patient,week,instrument,value\n"
        + "".join(f"{p},0,PHQ-9,17\n{p},8,PHQ-9,{9 + i}\n" for i, (p, _) in enumerate(people))
    )
    return folder


@dataclass
class Bench:
    """A server's side and its keepers, in the roster's order."""

    study: Study
    signed: SignedStudy
    roster: SignedRoster
    server: ServerRun
    opening: Message
    keepers: list[Keeper]

    def ask(self, message: Message, keeper: int = 0) -> Message:
        """What one keeper answers."""
        return decode(self.keepers[keeper].forward(message.to_bytes()))

    def everyone(self, message: Message) -> list[Message]:
        """What every keeper answers, taken in by the server."""
        replies = [self.ask(message, index) for index in range(len(self.keepers))]
        for index, reply in enumerate(replies):
            self.server.receive(index, reply)  # type: ignore[arg-type]
        return replies

    def set_up(self) -> None:
        """Keys agreed and confirmed."""
        self.everyone(self.opening)
        self.everyone(self.server.packages())

    def request(self, question: str = "effect", round_: int = 0, attempt: int = 0) -> RoundRequest:
        """An honest request for one round."""
        spec = next(spec for spec in self.study.questions if spec.name == question)
        built = build(spec, self.study)
        terms = QuestionTerms.of(self.study, spec, built.shape, len(self.keepers))
        state = state_bytes(built.start({}))
        context = terms.context(self.roster.roster.digest, round_, attempt, state)
        return self.server.request(context, state)
