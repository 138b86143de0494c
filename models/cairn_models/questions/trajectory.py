"""`Trajectory`: train the expected-course network by noised sums of per-patient gradients.

One round is one full-batch gradient: each training patient's gradient of that patient's whole
loss, in the few directions in which synthetic worlds differ (`trajectory.space`), clipped to C by
the door, summed over clinics and noised. The server divides by the *planned* number of training
patients and takes one step. A keyed share of patients is held out from all rounds, so that an
`error` question can be asked of them later.

The clip acts on whole patients and the loss is divided by public constants, so C is the
sensitivity. T rounds at noise multiplier σ are Gaussian DP with μ = √T/σ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from cairn_models.answers import Answer, Cell, Course, Table
from cairn_models.contribution import Contribution
from cairn_models.questions.base import (
    Public,
    Question,
    Released,
    Settings,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.held_out import HeldOut, Split
from cairn_models.questions.judged_contribution import of_training
from cairn_models.records import Records
from cairn_models.trajectory import artefact
from cairn_models.trajectory.columns import ARMS, HORIZONS
from cairn_models.trajectory.descent import Adam, Descent, Newton
from cairn_models.trajectory.dp_gradient import (
    BLOCK,
    Block,
    blocks,
    check_places,
    patient_gradients,
    per_patient,
)
from cairn_models.trajectory.expected import TYPICAL, expected_course
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import CourseNetwork, fill, flat, untrained
from cairn_models.trajectory.space import Space
from cairn_protocol.study import QuestionSpec, Study


@dataclass(frozen=True)
class Steps:
    """What suits a space: C and the rate of the first step."""

    bound: float
    learning_rate: float


ALONG_WORLDS: Final = Steps(0.07, 1.0)
EVERYTHING: Final = Steps(0.5, 0.004)
WIDTH: Final = 3.0  # standard deviations of worlds within which patients are looked for
STRAIGHT: Final = 1e-9  # no direction counts as bending less
SAMPLING: Final = 1 / 16  # variance of a patient's gradient over the loss's curvature, about
FLOOR: Final = 0.02  # of C: Adam's, near the noise in a mean of patients
SCRATCH: Final = "none"  # the prior that is no prior


class TrajectorySettings(Settings):
    """Settings of a `trajectory` question.

    Args:
        rounds: gradient sums, each charged; 15 to 40 make little difference.
        bound: C, the L2 norm to which a patient's gradient is clipped; left out, that of the space.
        learning_rate: of the first round; it falls as a cosine. Along directions it is the share of
            a Newton step, for all parameters it is Adam's. Left out, that of the space.
        held_out: share of patients who never train, or the study's group of clinics that does not.
        horizons: weeks ahead that count in the loss.
        prior: name of a pre-trained artefact, or "none" to start from the last value carried
            forward.
        space: "worlds" moves the prior along its `directions`; "all" trains every parameter, which
            takes many more patients or a larger ε. Without a prior it is always "all".
        directions: how many, those first along which the loss bends most.
    """

    rounds: int = Field(default=20, ge=1, le=200)
    bound: float | None = Field(default=None, gt=0, le=100)
    learning_rate: float | None = Field(default=None, gt=0, le=10)
    held_out: HeldOut = 0.3
    horizons: tuple[int, ...] = HORIZONS
    prior: str = artefact.DEFAULT_PRIOR
    space: Literal["worlds", "all"] = "worlds"
    directions: int = Field(default=48, ge=1, le=48)

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
        steps = EVERYTHING if s.space == "all" or s.prior == SCRATCH else ALONG_WORLDS
        self.bound = steps.bound if s.bound is None else s.bound
        self.split = Split.of(study, s.held_out)
        self._rate = steps.learning_rate if s.learning_rate is None else s.learning_rate

    @property
    def shape(self) -> Shape:
        """The number of directions, or of all parameters."""
        return Shape(self.space.size, self.bound, rounds=self.settings.rounds)

    @property
    def contribution(self) -> Contribution:
        """A gradient, whose numbers have no names."""
        return of_training(self.instrument.name, self.split, self.space.size)

    def start(self, released: Released) -> Public:
        """The place of the prior in the `space`, after its checksum held."""
        return self.space.start()

    @cached_property
    def space(self) -> Space:
        """Where training moves; its origin is the prior."""
        s = self.settings
        if s.prior == SCRATCH:
            return Space(flat(untrained()))
        prior = artefact.read(s.prior)
        if s.space == "all":
            return Space(prior.parameters)
        k = s.directions
        return Space(prior.parameters, prior.directions[:k], prior.curvature[:k])

    @cached_property
    def _descent(self) -> Descent:
        s, curvature = self.settings, self.space.curvature
        if curvature is not None:
            bends = np.maximum(curvature.astype(np.float64), STRAIGHT)
            return Newton(s.rounds, self._rate, bends, self._pull(bends))
        floor = 1e-8 if s.prior == SCRATCH else FLOOR * self.bound
        return Adam(s.rounds, self._rate, floor)

    def _pull(self, curvature: Vector) -> Vector:
        """(k,) ridge towards the prior: what makes the least expected error of a place that was
        drawn with `WIDTH` along each direction and seen through the noise of all rounds, and
        through the few patients that there are."""
        seen = self._noise_in_mean**2 / self.settings.rounds / curvature
        return np.asarray((seen + SAMPLING / self.planned_training) / WIDTH**2)

    @property
    def _noise_in_mean(self) -> float:
        """About the noise in one number of a round's mean, from the study alone.

        Near enough for how far to trust a direction: at δ = 1e-6 the multiplier of one round is 4
        to 6 over ε for ε from 0.5 to 8. What is charged and added is computed elsewhere.
        """
        policy, epsilon = self.study.policy, self.spec.epsilon
        if epsilon is None or not self.study.noised:
            return 0.0
        multiplier = 5.0 * math.sqrt(self.settings.rounds) / epsilon
        shares = math.sqrt(policy.clinics / policy.honest)
        return multiplier * self.bound * shares / self.planned_training

    def prepare(self, records: Records) -> tuple[Block, ...]:
        """The training patients' weeks in fixed blocks; the held-out ones are not in them."""
        check_places()
        self.space.check_places(BLOCK)
        weeks = weekly(records, self.instrument)
        trains = self.split.training(weeks.patients)
        return tuple(blocks(weeks, trains, self.instrument, self.settings.horizons))

    def counts_at(self, clinic: str) -> bool:
        """Not in a group that is held out."""
        return self.split.trains_at(clinic)

    def contributions(self, prepared: tuple[Block, ...], public: Public) -> Iterator[Vector]:
        """(block, size) gradients, unclipped: the door clips them to C."""
        if not prepared:
            return
        network = CourseNetwork()
        fill(network, self.space.parameters(public))
        model = per_patient(network)
        for block in prepared:
            yield patient_gradients(model, block, self.space).astype(np.float64)

    @property
    def planned_training(self) -> float:
        """The public figure that stands in for the number of training patients."""
        return self.study.cohort.planned_patients * (1 - self.split.share)

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """One step along the noised sum over the planned number of training patients.

        What the descent remembers lives in this instance; sums must come in order from round 0
        (replay them after a restart).
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
        trained = self.space.parameters(np.asarray(public, dtype=np.float32))
        prior = self.space.origin
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
            "a woman of 36 to 50 in work, without earlier therapy or medication, in use of the "
            "programme where there is one.",
            "Arms are compared as they stand in care, not as randomised: differences between "
            "these curves are not effects. Where training moved them little they are the prior's, "
            "which knows no patient: the table has both.",
            f"{s.rounds} noised gradient sums; never trained: {self.split.words}. What "
            "the model is worth is what an error question says, beside its prior.",
        ]
        if unknown:
            notes.append(
                "The network has no input for these arms and treats them alike: "
                + ", ".join(unknown)
            )
        return tuple(notes)
