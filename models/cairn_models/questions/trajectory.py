"""`Trajectory`: train the expected-course network by noised sums of per-patient gradients.

One round is one full-batch gradient: each training patient's gradient of that patient's whole
loss, clipped to C by the door, summed over clinics and noised. The server divides by the *planned*
number of training patients and takes one Adam step. A keyed share of patients is held out from all
rounds, so that an `error` question can be asked of them later.

The clip acts on whole patients and the loss is divided by public constants, so C is the
sensitivity. T rounds at noise multiplier σ are Gaussian DP with μ = √T/σ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from cairn_models.answers import Answer, Cell, Course, Table
from cairn_models.questions.base import (
    KeyedSplit,
    Public,
    Question,
    Released,
    Settings,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.records import Records
from cairn_models.trajectory import artefact
from cairn_models.trajectory.descent import Descent
from cairn_models.trajectory.dp_gradient import (
    Block,
    blocks,
    check_places,
    patient_gradients,
    per_patient,
)
from cairn_models.trajectory.expected import TYPICAL, expected_course
from cairn_models.trajectory.features import ARMS, HORIZONS, weekly
from cairn_models.trajectory.network import CourseNetwork, fill, flat, parameter_count, untrained
from cairn_protocol.study import QuestionSpec, Study

FLOOR_PER_BOUND: Final = 0.02  # Adam's floor over C: the noise in the mean of some 600 patients
SCRATCH: Final = "none"  # the prior that is no prior
HeldOut = Annotated[float, Field(ge=0, le=0.6)]


class TrajectorySettings(Settings):
    """Settings of a `trajectory` question.

    Args:
        rounds: gradient sums, each charged; 20 to 120 make little difference.
        bound: C, the L2 norm to which a patient's gradient is clipped.
        learning_rate: Adam's, at the first round; it falls as a cosine. More patients make larger
            steps by themselves (less noise against a fixed floor). From scratch there is no floor.
        held_out: share of patients who never train.
        horizons: weeks ahead that count in the loss.
        prior: name of a pre-trained artefact, or "none" to start from the last value carried
            forward.
    """

    rounds: int = Field(default=40, ge=1, le=200)
    bound: float = Field(default=0.5, gt=0, le=100)
    learning_rate: float = Field(default=0.004, gt=0, le=1)
    optimiser: Literal["adam"] = "adam"
    held_out: HeldOut = 0.3
    horizons: tuple[int, ...] = HORIZONS
    prior: str = artefact.DEFAULT_PRIOR

    @field_validator("horizons")
    @classmethod
    def _known(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return known_horizons(value)


def known_horizons(value: tuple[int, ...]) -> tuple[int, ...]:
    """`value`, sorted, if the network predicts all of it."""
    if not value or not set(value) <= set(HORIZONS):
        raise ValueError(f"the network predicts {', '.join(map(str, HORIZONS))} weeks ahead")
    return tuple(sorted(set(value)))


class Trajectory(Question[tuple[Block, ...]]):
    """Kind "trajectory". Released: `parameters` and `prior`, (d,) float32 each."""

    kind = "trajectory"
    category = "train"
    settings_model = TrajectorySettings
    settings: TrajectorySettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        s = self.settings
        floor = 1e-8 if s.prior == SCRATCH else FLOOR_PER_BOUND * s.bound
        self._descent = Descent(s.rounds, s.learning_rate, floor)

    @property
    def shape(self) -> Shape:
        """d = all parameters of the network."""
        s = self.settings
        return Shape(parameter_count(), s.bound, rounds=s.rounds)

    def start(self, released: Released) -> Public:
        """The prior's parameters, after their checksum held."""
        if self.settings.prior == SCRATCH:
            return flat(untrained())
        return artefact.read(self.settings.prior).parameters

    def prepare(self, records: Records) -> tuple[Block, ...]:
        """The training patients' weeks in fixed blocks; the held-out ones are not in them."""
        check_places()
        weeks = weekly(records, self.instrument)
        split = KeyedSplit(self.study.digest, self.settings.held_out)
        trains = [not split.is_held_out(patient) for patient in weeks.patients]
        return tuple(blocks(weeks, np.flatnonzero(trains), self.settings.horizons))

    def contributions(self, prepared: tuple[Block, ...], public: Public) -> Iterator[Vector]:
        """(block, d) gradients, unclipped: the door clips them to C."""
        if not prepared:
            return
        network = CourseNetwork()
        fill(network, public)
        model = per_patient(network)
        for block in prepared:
            yield patient_gradients(model, block).astype(np.float64)

    @property
    def planned_training(self) -> float:
        """The public figure that stands in for the number of training patients."""
        return self.study.cohort.planned_patients * (1 - self.settings.held_out)

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """One Adam step along the noised sum over the planned number of training patients.

        The moments live in this instance; sums must come in order from round 0 (replay them after
        a restart).
        """
        return self._descent.step(public, np.asarray(total) / self.planned_training, round_)

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """The trained network and what it expects for a typical person in each arm.

        `public` is the state of the last round and `total` its sum; where the caller has already
        advanced past the last round, `public` is the trained network.
        """
        s = self.settings
        if self._descent.done < s.rounds:
            public = self.advance(public, total, s.rounds - 1)
        trained, prior = np.asarray(public, dtype=np.float32), self.start({})
        arms = self.study.cohort.arms or ARMS
        course, moved = self._course(trained, arms), self._course(prior, arms)
        points = np.array([course[a]["middle"] for a in arms]) - np.array(
            [moved[a]["middle"] for a in arms]
        )
        name = self.instrument.name
        distance = float(np.sqrt(np.mean(points[:, 1:] ** 2)))
        relative = float(np.linalg.norm(trained - prior)) / max(float(np.linalg.norm(prior)), 1e-12)
        weeks = (0, *HORIZONS)
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (
                arm,
                week,
                *(round(course[arm][k][i], 1) for k in ("middle", "low", "high")),
                round(moved[arm]["middle"][i], 1),
            )
            for arm in arms
            for i, week in enumerate(weeks)
        )
        title = "Expected course by arm for a typical person"
        start = course[arms[0]]["middle"][0]
        unknown = [arm for arm in arms if arm not in ARMS]
        return Answer(
            question=self.name,
            kind=self.kind,
            title=title,
            sentences=(
                f"Starting at {name} {start:.0f}, the trained network expects at week 8: "
                + ", ".join(f"{a} {course[a]['middle'][-1]:.1f}" for a in arms)
                + ".",
                f"Training moved these expectations by {distance:.2f} {name} points "
                f"(root mean square) from the {self._prior_words}; its parameters moved by "
                f"{relative:.0%} of their norm.",
            ),
            tables=(
                Table(
                    title,
                    ("arm", "week", "median", "10 %", "90 %", "prior's median"),
                    rows,
                    note="80 % band: where 8 of 10 such persons are expected, as the model sees it",
                ),
            ),
            figures=(
                Course(
                    title,
                    "weeks since entry",
                    f"{name} points",
                    tuple(float(w) for w in weeks),
                    course,
                    band="80 % band for one person",
                    y_range=(self.instrument.lowest, self.instrument.highest),
                ),
            ),
            notes=self._notes(unknown),
            released={"parameters": trained, "prior": prior},
        )

    @property
    def _prior_words(self) -> str:
        if self.settings.prior == SCRATCH:
            return "untrained network, which carries the last value forward"
        return f"prior {self.settings.prior} (pre-trained on synthetic data)"

    def _course(
        self, parameters: NDArray[np.float32], arms: tuple[str, ...]
    ) -> dict[str, dict[str, tuple[float, ...]]]:
        return expected_course(parameters, self.instrument, arms)

    def _notes(self, unknown: list[str]) -> tuple[str, ...]:
        s = self.settings
        notes = [
            "For research only: not a prediction for any person, and no basis for a decision "
            "about care.",
            f"The typical person is a public constant: PHQ-9 {TYPICAL['PHQ-9']:.0f} and GAD-7 "
            f"{TYPICAL['GAD-7']:.0f} at entry (other instruments: the same share of their range), "
            "in use of the programme where there is one.",
            "Arms are compared as they stand in care, not as randomised: differences between "
            "these curves are not effects. Where training moved them little they are the prior's, "
            "which knows no patient: the table has both.",
            f"{s.rounds} noised gradient sums; {s.held_out:.0%} of patients never trained. What "
            "the model is worth is what an error question says, beside its prior.",
        ]
        if unknown:
            notes.append(
                "The network has no input for these arms and treats them alike: "
                + ", ".join(unknown)
            )
        return tuple(notes)
