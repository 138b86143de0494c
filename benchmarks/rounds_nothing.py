"""`Nothing`: a question without computation, so that what a round costs is the system's own.

`python -m benchmarks.rounds_nothing …` is the command `cairn …` that knows this question besides
its own: server, keeper and link of a benchmark are processes that run what everybody runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final
from unittest.mock import patch

import numpy as np
from pydantic import Field

from cairn_models.answers import Answer
from cairn_models.questions import KINDS
from cairn_models.questions.base import Public, Question, Settings, Shape, SumNoise, Vector
from cairn_models.records import Records
from cairn_models.synthetic import World, clinic_name, generate, write_clinic_csv

LENGTH: Final = 6_636  # numbers in the trajectory network
PATIENTS: Final = 10  # a clinic
REGISTERED: Final = {"nothing": "benchmarks.rounds_nothing:Nothing"}


class NothingSettings(Settings):
    """How many rounds."""

    rounds: int = Field(default=30, ge=1)


class Nothing(Question[None]):
    """One row of zeros a clinic; a round's state of `LENGTH` float32."""

    kind: ClassVar[str] = "nothing"
    category = "train"
    settings_model: ClassVar[type[Settings]] = NothingSettings
    settings: NothingSettings

    @property
    def shape(self) -> Shape:
        return Shape(LENGTH, 1.0, self.settings.rounds)

    def start(self, released: Any) -> Public:
        return np.zeros(LENGTH, dtype=np.float32)

    def prepare(self, records: Records) -> None:
        return None

    def contributions(self, prepared: None, public: Public) -> Iterator[Vector]:
        yield np.zeros((1, LENGTH))

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        return Answer(self.name, self.kind, "Nothing", ("Nothing was asked.",))


def study_text(clinics: int, rounds: int, more: str = "", *, recovers: bool = False) -> str:
    """A study's TOML: `rounds` rounds of nothing, then `more`. `recovers`: one may be lost."""
    least, dropout = (clinics - 1, "recovered") if recovers else (clinics, "forbidden")
    return f"""
cairn = 1
name = "overhead"
title = "What a round costs"
synthetic = true
[outcome]
instrument = "PHQ-9"
[cohort]
planned_patients = {PATIENTS * clinics}
largest_clinic = {2 * PATIENTS}
[policy]
clinics = {clinics}
survivors = {least}
threshold = {least}
dropout = "{dropout}"
[[questions]]
name = "nothing"
kind = "nothing"
epsilon = 1
insist = "what a round costs is measured"
rounds = {rounds}
{more}"""


def write_clinics(folder: Path, clinics: int) -> list[Path]:
    """Folders of synthetic clinics, ready to be opened."""
    made = []
    for number, records in enumerate(generate(World(), [PATIENTS] * clinics, seed=1)):
        clinic = folder / clinic_name(number)
        write_clinic_csv(records, clinic, name=clinic.name)
        (clinic / "clinic.toml").write_text(f'name = "{clinic.name}"\ndata = "synthetic"\n')
        made.append(clinic)
    return made


if __name__ == "__main__":
    from cairn_app.cli import main

    with patch.dict(KINDS, REGISTERED):
        main()
