"""A clinic to which a study's findings come back: its records, the study, and the team's message.

Patients, scores and findings are made up here, by hand, so that a test knows every number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper_store import KeeperStore
from cairn_client.returned.desk import FindingsDesk
from cairn_client.returned.findings_store import FindingsStore
from cairn_models.answers import Answer, Estimate
from cairn_protocol.findings import RESULTS, Findings, FoundFile
from cairn_protocol.identity import Identity
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_protocol.wire_types import UNSIGNED

STUDY = """
cairn = 1
name = "waits"
title = "Waiting and what helps"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 300
largest_clinic = 100
[release]
courses = true
[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
[[questions]]
name = "stay"
kind = "retention"
epsilon = 1.0
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 1.0
"""
MAPPING = """
cairn = 1
synthetic = true
[scores]
file = "scores.csv"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
item = "item"
[patients]
file = "patients.csv"
patient = "patient"
arm = "arm"
entry = "entry"
[engagement]
file = "engagement.csv"
patient = "patient"
week = "week"
measure = "measure"
value = "value"
"""
TODAY = date(2026, 6, 1)
POLICY = "courses = true\n"


@dataclass(frozen=True)
class Patient:
    """`scores`: (week, PHQ-9); `nine`: week → answer to item 9, its total that of `scores`."""

    name: str
    arm: str
    days: int  # since entry, today
    scores: tuple[tuple[int, int], ...]
    nine: tuple[tuple[int, int], ...] = ()

    @property
    def entry(self) -> date:
        return TODAY - timedelta(days=self.days)


# Names are in no order that a list could have by chance: neither of days, nor of scores.
PEOPLE = (
    Patient("k-zara", "waiting", 70, ((0, 12), (2, 13), (4, 12), (8, 26)), ((8, 3),)),
    Patient("k-adam", "waiting", 90, ((0, 20), (2, 18), (4, 15)), ((2, 2), (4, 0))),
    Patient("k-mona", "dmhi_guided", 20, ((0, 14), (2, 12)), ((0, 0), (2, 0))),
    Patient("k-ben", "dmhi_guided", 100, ((0, 9), (1, 11), (3, 10), (11, 27))),
    Patient("k-liv", "waiting", 40, ((0, 16),)),
)


def crowd(arm: str, count: int, last: int) -> tuple[Patient, ...]:
    """As many more, with the same scores each but for a point."""
    return tuple(
        Patient(f"q-{arm[:4]}{i:02}", arm, 120 + i, ((0, 15 + i % 2), (8, last + i % 3)))
        for i in range(count)
    )


EVERYBODY = (*PEOPLE, *crowd("waiting", 12, 14), *crowd("dmhi_guided", 12, 8))


def write_clinic(folder: Path, people: tuple[Patient, ...] = EVERYBODY) -> ClinicFolder:
    """The clinic's folder, its files not imported."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clinic.toml").write_text('name = "ash"\ndata = "synthetic"\n')
    (folder / "mapping.toml").write_text(MAPPING)
    rows = "".join(f"{p.name},{p.arm},{p.entry.isoformat()}\n" for p in people)
    (folder / "patients.csv").write_text(f"patient,arm,entry\n{rows}")
    lines = ["patient,week,instrument,value,item\n"]
    for person in people:
        nine = dict(person.nine)
        for week, total in person.scores:
            if week not in nine:
                lines.append(f"{person.name},{week},PHQ-9,{total},\n")
                continue
            rest = total - nine[week]
            answers = [rest // 8 + (i < rest % 8) for i in range(8)]
            lines += [
                f"{person.name},{week},PHQ-9,{value},{item}\n"
                for item, value in enumerate((*answers, nine[week]), 1)
            ]
    (folder / "scores.csv").write_text("".join(lines))
    (folder / "engagement.csv").write_text(
        "patient,week,measure,value\nk-mona,2,logins,3\nk-liv,0,offered,1\n"
    )
    return ClinicFolder.open(folder)


def pooled_effect(study: Study) -> Answer:
    """A released answer to the study's first question."""
    contrast = Estimate("dmhi_guided-waiting", "dmhi guided against waiting", -2.0, -3.1, -0.9)
    return Answer(
        question=study.questions[0].name,
        kind=study.questions[0].kind,
        title="Difference in change at week 8",
        sentences=("People in dmhi_guided fell 2.0 points further.",),
        estimates=(contrast,),
        notes=("Unadjusted for confounding.",),
    )


def results_json(study: Study, given: tuple[Answer, ...], **changes: Any) -> bytes:
    """As the server writes it, as far as a clinic reads it."""
    document = {
        "schema": "cairn-results/1",
        "study": {"name": study.name, "source": study.source.decode()},
        "answers": [answer.to_json() for answer in given],
        "synthetic": True,
        "stopped": "",
    }
    return json.dumps(document | changes).encode()


class ReturnedBench:
    """A team, a clinic that approves its study, and where findings go."""

    def __init__(self, folder: Path, study: str = STUDY) -> None:
        self.clinic = write_clinic(folder)
        self.team = Identity.generate()
        self.study = Study.parse(study.encode())
        self.signed = SignedStudy.sign(self.study, self.team)
        keys = {name: Identity.generate().public for name in ("elm", "oak")}
        keys["ash"] = self.clinic.identity().public
        self.roster = SignedRoster.sign(Roster.first(self.signed, keys), self.team)
        self.store = KeeperStore.of(self.clinic)
        self.store.pin_team(self.team.public)
        self.store.offer(self.signed, self.roster)
        self.decide("approved")
        self.kept = FindingsStore(self.clinic.state, self.clinic.identity())
        self.desk = FindingsDesk(self.store, self.kept)

    def decide(self, state: str) -> None:
        roster = self.roster.roster.digest
        self.store.decide(self.signed.digest, roster, state, "Ada")  # type: ignore[arg-type]

    def findings(
        self,
        files: dict[str, bytes] | None = None,
        *,
        results: bytes | None = None,
        team: Identity | None = None,
        study: bytes | None = None,
    ) -> Findings:
        """Signed by the team, with the study's first answer unless said otherwise."""
        found = {RESULTS: results or results_json(self.study, (pooled_effect(self.study),))}
        found |= files or {}
        unsigned = Findings(
            study or self.study.digest,
            tuple(FoundFile(name, found[name]) for name in sorted(found)),
            UNSIGNED,
        )
        signature = (team or self.team).sign("findings", unsigned.signed)
        return unsigned.with_signature(signature)

    def keep(self, findings: Findings) -> None:
        self.desk.keep(findings, self.team.public)

    def close(self) -> None:
        self.store.close()
