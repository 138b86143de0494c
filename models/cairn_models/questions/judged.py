"""`Judged`: a question that an earlier model answers for, on patients who never trained it.

The public state is the released parameters of a `trajectory` question; whoever contributes was held
out by that question: by its keyed hash, or as a patient of a group of clinics. With `by`, patients
are divided by the levels of a variable of the study; who has none of these levels is in none of the
answer's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from cairn_models.levels import levels_of
from cairn_models.questions.base import (
    Public,
    Question,
    Released,
    Settings,
)
from cairn_models.questions.held_out import HeldOut as HeldOutSetting
from cairn_models.questions.judged_split import split_of_model
from cairn_models.records import Records
from cairn_models.trajectory.features import Weekly, weekly
from cairn_models.trajectory.network import parameter_count
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 256  # patients


class JudgedSettings(Settings):
    """Settings of every question that judges a model.

    Args:
        model: name of the `trajectory` question whose model is judged; it must stand before.
        held_out: must be that question's own; it is taken from there if not given.
        by: a variable of the study with levels, by which people are divided.
    """

    model: str
    held_out: HeldOutSetting | None = None
    by: str = ""


@dataclass(frozen=True)
class HeldOut:
    """The held-out patients' weeks, and (N,) the place of each one's level, −1 without one."""

    weeks: Weekly
    level: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.weeks)

    def blocks(self) -> Iterator[HeldOut]:
        """Up to `BLOCK` patients at a time."""
        for at in range(0, len(self), BLOCK):
            rows = np.arange(at, min(at + BLOCK, len(self)))
            yield HeldOut(self.weeks.take(rows), self.level[rows])


class Judged(Question[HeldOut]):
    """Base of the kinds that judge a model."""

    category: ClassVar[Literal["train", "query", "evaluate"]] = "evaluate"
    settings_model: ClassVar[type[Settings]] = JudgedSettings
    settings: JudgedSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.split = split_of_model(spec.name, asked.model, asked.held_out, study)
        self.levels = self._levels()

    @property
    def builds_on(self) -> tuple[str, ...]:
        """The question that trained the model."""
        return (self.settings.model,)

    def counts_at(self, clinic: str) -> bool:
        """Where somebody was held out."""
        return self.split.judges_at(clinic)

    @property
    def state_length(self) -> int:
        """The model's parameters."""
        return parameter_count()

    @property
    def planned(self) -> float:
        """Held-out patients, as the cohort is planned."""
        return self.study.cohort.planned_patients * self.split.share

    def start(self, released: Released) -> Public:
        """(d,) float32: the trained parameters."""
        found = released.get(f"{self.settings.model}/parameters")
        parameters = np.asarray([] if found is None else found, dtype=np.float32)
        if parameters.shape != (parameter_count(),) or not np.isfinite(parameters).all():
            raise OurFault(
                f"question {self.name!r} was asked before {self.settings.model!r} released a model",
                code="judged-order",
                why="its parameters are needed, finite and of the network's size",
            )
        return parameters

    def prepare(self, records: Records) -> HeldOut:
        """The held-out patients."""
        weeks = weekly(records, self.instrument)
        rows = self.split.judging(weeks.patients)
        level = np.zeros(len(weeks), dtype=np.int64)
        if self.levels:
            found = levels_of(records, self.settings.by, self.levels)
            people = records.patients["patient"].unique(maintain_order=True)
            named = dict(zip(people.to_list(), found.tolist(), strict=True))
            level = np.array([named[patient] for patient in weeks.patients], dtype=np.int64)
        return HeldOut(weeks.take(rows), level[rows])

    def _levels(self) -> tuple[str, ...]:
        """The levels of the variable `by`; none where nobody is divided."""
        by = self.settings.by
        if not by:
            return ()
        known = [name for name, v in self.study.variables.items() if len(v.levels) > 1]
        if by not in known:
            raise self.refusal(
                f"by: the study has no variable {by!r} with two or more levels",
                f"it has: {', '.join(known)}"
                if known
                else f"declare [variables.{by}] levels = [...]",
            )
        return self.study.variables[by].levels

    def refusal(self, why: str, hint: str) -> InputError:
        """That the question cannot be asked as it stands."""
        return InputError(
            f"question {self.name!r} ({self.kind}) cannot be asked",
            code="question-invalid",
            why=why,
            hint=hint,
        )
