"""Five real keepers under a policy that recovers from dropout, and an exchange that loses things.

Time is virtual: each message takes as long as a test says, and nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.keeper_state import Memory
from cairn_models.answers import Answer
from cairn_models.questions import build
from cairn_models.questions.base import Public, Question, Settings, Shape, SumNoise, Vector
from cairn_models.records import Records
from cairn_privacy.bound import exact_sum
from cairn_protocol.identity import Identity
from cairn_protocol.messages import decode
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server.events import Event
from cairn_server.exchange import Deadlines, Replies, Until
from cairn_server.journal import Journal, MemoryJournal
from cairn_server.study_run import StudyRun
from keeper_bench import write_clinic

NAMES = ("ash", "elm", "fir", "oak", "yew")  # in the roster's order
NODES = (11, 12, 13, 14, 15)
STUDY = """
cairn = 1
name = "recovered"
title = "Synthetic: rounds that go on"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 15
largest_clinic = 5
[privacy]
data = "{data}"
retries = {retries}
[policy]
clinics = 5
survivors = 4
threshold = {threshold}
colluding = 1
dropout = "recovered"
[[questions]]
name = "effect"
kind = "effect"
{epsilon}
[[questions]]
name = "course"
kind = "walk"
rounds = {rounds}
{epsilon}
"""
DEADLINES = Deadlines(
    set_up=30, round=600, close=10, patience=0, pause=0, grace=20, muster=0, probe=0
)
Lost = Callable[[str, str], bool]
"""Whether a clinic's message of a stage ("round", "survivors", …) is lost."""


def study_of(data: str = "public", retries: int = 0, rounds: int = 3, threshold: int = 4) -> Study:
    """A study of five clinics, four of which must answer."""
    epsilon = "epsilon = 1.0" if data == "patients" else ""
    text = STUDY.format(
        data=data, retries=retries, rounds=rounds, threshold=threshold, epsilon=epsilon
    )
    return Study.parse(text.encode())


class WalkSettings(Settings):
    """How many rounds."""

    rounds: int = Field(default=3, ge=1)


class Walk(Question[NDArray[np.float64]]):
    """Several rounds that cost nothing to compute; each depends on the one before."""

    kind: ClassVar[str] = "walk"
    category = "train"
    settings_model: ClassVar[type[Settings]] = WalkSettings
    settings: WalkSettings

    @property
    def shape(self) -> Shape:
        return Shape(2, 2.0, self.settings.rounds)

    def start(self, released: Any) -> Public:
        return np.full(1, 0.5, dtype=np.float32)

    def prepare(self, records: Records) -> NDArray[np.float64]:
        """(patients,) mean score over its range."""
        means = records.scores.group_by("patient").agg(pl.col("value").mean()).sort("patient")
        return means["value"].to_numpy() / 27

    def contributions(self, prepared: NDArray[np.float64], public: Public) -> Iterator[Vector]:
        yield np.column_stack([prepared, prepared * float(public[0])])

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        return np.asarray([public[0] + total[1] / 100], dtype=np.float32)

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        said = (f"It went to {public[0]!r}, noise {noise.sd!r}.",)
        return Answer(self.name, self.kind, "Walk", said, released={"place": np.asarray(public)})


KNOWN = {"walk": "recovery_bench:Walk"}
"""`patch.dict(KINDS, KNOWN)` lets a study ask it."""


@dataclass
class Clock:
    """Stands for the module `time`."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Clinics:
    """Five keepers and what the network does to them; it is the run's exchange."""

    folder: Path
    study: Study
    deadlines: Deadlines = DEADLINES
    clock: Clock = field(default_factory=Clock)
    lost: Lost = lambda stage, clinic: False
    reply_lost: Lost = lambda stage, clinic: False
    takes: Callable[[str, str], float] = lambda stage, clinic: 0.01  # seconds
    meddle: Callable[[str, str, bytes], bytes] = lambda stage, clinic, reply: reply
    cap: float = 8.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    stages: list[tuple[str, float]] = field(default_factory=list)  # with the seconds it took

    def __post_init__(self) -> None:
        team = Identity.from_private_bytes(bytes(32))
        self.signed = SignedStudy.sign(self.study, team)
        data = "patients" if self.study.noised else "public"
        self.folders = {
            name: ClinicFolder.open(write_clinic(self.folder / name, name, data=data, cap=self.cap))
            for name in NAMES
        }
        self.states = {name: Memory() for name in NAMES}
        self.keepers = {name: self._keeper(name) for name in NAMES}
        keys = {name: keeper.identity.public for name, keeper in self.keepers.items()}
        self.roster = SignedRoster.sign(Roster.first(self.signed, keys), team)

    def _keeper(self, name: str) -> Keeper:
        keeper = Keeper(self.folders[name], self.states[name])
        keeper.approve(self.signed)
        keeper.read_records(self.study)
        return keeper

    def restart(self, name: str) -> None:
        """The keeper ends and begins again: its keys are gone, its state is not."""
        self.keepers[name].close()
        self.states[name].epoch += 1
        self.states[name].boot = bytes([self.states[name].epoch]) * 16
        self.keepers[name] = self._keeper(name)

    def pause(self, name: str) -> None:
        """The clinic's people take their approval back."""
        self.states[name].approvals.clear()

    def run(self, journal: Journal | None = None, **more: Any) -> StudyRun:
        """A run over them; `events` hears of it."""
        watch = more.pop("watch", lambda event: None)

        def heard(event: Event) -> None:
            self.events.append(event)
            watch(event)

        return StudyRun(
            self.signed,
            self.roster,
            NODES,
            journal=journal or MemoryJournal(),
            deadlines=self.deadlines,
            watch=heard,
            **more,
        )

    @contextmanager
    def time(self) -> Iterator[Clock]:
        """While the block runs, the server's clock is the virtual one."""
        clock = SimpleNamespace(monotonic=self.clock.monotonic, sleep=self.clock.sleep)
        where = ("cairn_server.gathering.time", "cairn_server.conversation.time")
        with patch(where[0], clock), patch(where[1], clock):
            yield self.clock

    def execute(self, run: StudyRun) -> None:
        """The run, in virtual time."""
        with self.time():
            run.execute(self)

    def __call__(
        self, stage: str, requests: Mapping[int, bytes], seconds: float, until: Until | None = None
    ) -> Replies:
        assert until is not None
        stage, begun = stage.partition(".")[2], self.clock.now
        arrivals = []
        for node, body in requests.items():
            name = NAMES[NODES.index(node)]
            self.asked.append((stage, name))
            if self.lost(stage, name):
                continue
            reply = self.meddle(stage, name, self.keepers[name].forward(body))
            if not self.reply_lost(stage, name):
                arrivals.append((begun + self.takes(stage, name), node, reply))
        replies: Replies = {}
        for at, node, reply in sorted(arrivals):
            if at > min(begun + seconds, until(replies)):
                break
            self.clock.now = at
            replies[node] = reply
        if len(replies) < len(requests):
            self.clock.now = max(self.clock.now, min(begun + seconds, until(replies)))
        self.stages.append((stage, self.clock.now - begun))
        return replies

    def names_in(self, run: StudyRun, question: str) -> list[str]:
        """Who is in each sum of a question, by the first letters."""
        return ["".join(NAMES[i][0] for i in sum_) for sum_ in run.clinics_in(question)]

    def said(self, stage: str = "clinics") -> list[str]:
        """What the team was told."""
        return [event.text for event in self.events if event.stage == stage]

    def expected(self, question: str, letters: str, public: NDArray[Any]) -> NDArray[np.int64]:
        """The plain integer sum over the clinics with these first letters. Public data only."""
        spec = next(spec for spec in self.study.questions if spec.name == question)
        built = build(spec, self.study)
        total = np.zeros(built.shape.length, dtype=np.int64)
        for name in NAMES:
            if name[0] in letters:
                records = self.folders[name].read(()).records
                rows = built.contributions(built.prepare(records), public)
                total += exact_sum(rows, built.shape.length)
        return total

    def charges(self, name: str) -> list[tuple[str, int, int]]:
        """What the clinic's ledger holds."""
        entries = self.keepers[name].ledger.entries()
        return [(e.question, e.round, e.attempt) for e in entries]


def once(stage: str, clinic: str, times: int = 1) -> Lost:
    """The clinic loses its next messages of a stage."""
    left = [times]

    def lost(at: str, name: str) -> bool:
        hit = (at, name) == (stage, clinic) and left[0] > 0
        left[0] -= hit
        return hit

    return lost


def any_of(*all_lost: Lost) -> Lost:
    """What one of these loses."""
    return lambda stage, clinic: any(lost(stage, clinic) for lost in all_lost)


def resigned(clinics: Clinics, name: str, reply: bytes, **changes: bytes) -> bytes:
    """A clinic's opening with other contents, signed by it again."""
    from dataclasses import replace

    from cairn_protocol.messages import Opening

    message = decode(reply)
    if not isinstance(message, Opening):
        return reply
    changed = replace(message, **changes)
    identity = clinics.keepers[name].identity
    return changed.with_signature(identity.sign("opening", changed.signed)).to_bytes()
