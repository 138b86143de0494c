"""Three keepers over tiny clinics, and a server's side that a test drives message by message."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_store import KeeperStore
from cairn_models.questions import build
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.context import state_bytes
from cairn_protocol.identity import Identity
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
RECOVERED = STUDY.replace(
    "clinics = 3\nsurvivors = 3\nthreshold = 3\n",
    'clinics = 5\nsurvivors = 4\nthreshold = 4\ndropout = "recovered"\n',
)
NAMES = ("ash", "elm", "oak", "sloe", "yew", "fir")
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
    team: Identity

    def ask(self, message: Message | Mapping[int, Message], keeper: int = 0) -> Message:
        """What one keeper answers, to its own message where there is one for each."""
        own = message[keeper] if isinstance(message, Mapping) else message
        return decode(self.keepers[keeper].forward(own.to_bytes()))

    def settle(self, index: int) -> None:
        """One clinic gets a store on disk, its people verify everyone and approve the study."""
        keeper = self.keepers[index]
        keeper.close()
        with closing(KeeperStore.of(keeper.clinic)) as store:
            store.pin_team(self.signed.team)
            store.offer(self.signed, self.roster)
            for entry in self.roster.roster.entries:
                if entry.identity != keeper.identity.public:
                    store.verify_member(entry.clinic, entry.identity, "Ada")
            store.decide(self.signed.digest, self.roster.roster.digest, "approved", "Ada")

    def boot(self, index: int, clinic: ClinicFolder | None = None, **more: Any) -> KeeperStore:
        """Starts a settled clinic's keeper anew, maybe from another folder; its open store."""
        self.keepers[index].close()
        where = clinic or self.keepers[index].clinic
        store = KeeperStore.of(where)
        self.keepers[index] = Keeper(where, store, **more)
        return store

    def everyone(
        self, message: Message | Mapping[int, Message], but: Collection[int] = ()
    ) -> list[Message]:
        """What every keeper that is asked answers, taken in by the server; `but` some."""
        asked = message if isinstance(message, Mapping) else range(len(self.keepers))
        chosen = [index for index in asked if index not in but]
        replies = [self.ask(message, index) for index in chosen]
        for index, reply in zip(chosen, replies, strict=True):
            self.server.receive(index, reply)  # type: ignore[arg-type]
        return replies

    def set_up(self) -> None:
        """Keys agreed and confirmed."""
        self.everyone(self.opening)
        self.everyone(self.server.packages())

    def reopen(self, setup: int) -> None:
        """The next setup of the run; nobody has been asked yet."""
        self.server, self.opening = ServerRun.open(
            bytes(16), self.signed, self.roster, setup=setup, records=self.server.records
        )

    def requests(
        self, question: str = "effect", round_: int = 0, attempt: int = 0
    ) -> dict[int, RoundRequest]:
        """An honest request for one round, to each keeper its own."""
        spec = next(spec for spec in self.study.questions if spec.name == question)
        built = build(spec, self.study)
        terms = QuestionTerms.of(self.study, spec, built.shape, len(self.keepers))
        state = state_bytes(built.start({}))
        context = terms.context(self.roster.roster.digest, round_, attempt, state)
        return self.server.request(context, state)

    def request(self, question: str = "effect", round_: int = 0, attempt: int = 0) -> RoundRequest:
        """The first keeper's."""
        return self.requests(question, round_, attempt)[0]
