"""`Question`: what one patient contributes, and what the server makes of the noised sum.

A question exists twice. At the clinic `prepare` and `contributions` turn records into one vector a
patient; the door clips each to the bound, sums, noises, masks. At the server `advance` turns a
round's sum into the public state of the next round and `estimate` turns the last one into an
`Answer` whose intervals include the noise. Nothing else is needed to add an analysis.

**Purity.** A patient's vector depends on that patient's rows and on public constants (the study,
results already released): no local mean, rank, standardisation or random split. `KeyedSplit`
serves where patients must be divided. Where N is needed it is the study's planned figure or a
noised count that was part of the vector.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from cairn_models.answers import Answer
from cairn_models.contribution import Contribution
from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.records import Records
from cairn_protocol.errors import InputError
from cairn_protocol.study import QuestionSpec, Study, faults_in_words
from cairn_protocol.target_trial import TargetTrial

Vector = NDArray[np.float64]
Public = NDArray[np.float32]
Prepared = TypeVar("Prepared")


class Settings(BaseModel):
    """Base of a kind's own settings: an unknown key is refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Shape:
    """Public facts of what leaves a clinic each round.

    Args:
        length: coordinates in the vector.
        bound: C, the L2 norm that no patient's vector exceeds; None where the values are
            unbounded, which only public data may be asked for.
        rounds: how many sums the question needs, each charged.
    """

    length: int
    bound: float | None
    rounds: int = 1


@dataclass(frozen=True)
class SumNoise:
    """The noise in a sum, in the vector's own units: every coordinate, independent, normal."""

    sd: float

    @property
    def variance(self) -> float:
        """Variance of the noise in each coordinate of the sum."""
        return self.sd**2


@dataclass(frozen=True)
class Expected:
    """What the planned cohort would give for one result, before anything is asked.

    `sampling` is its standard error without privacy noise, `noise` the standard deviation that
    noise adds, both in `unit`. `name` is that of the estimate in the answer.
    """

    name: str
    label: str
    unit: str
    sampling: float
    noise: float

    @property
    def standard_error(self) -> float:
        """Noise included."""
        return float(np.hypot(self.sampling, self.noise))

    @property
    def inflation(self) -> float:
        """By how much noise widens the interval: 0.1 is 10 %; infinite: it hides the result."""
        if not self.sampling > 0.0:
            return math.inf if self.noise > 0.0 else 0.0
        return self.standard_error / self.sampling - 1.0


Released = Mapping[str, NDArray[Any]]
"""Arrays that earlier questions of the study released, by '<question>/<name>'."""


class Question(ABC, Generic[Prepared]):
    """One kind of question bound to a study. Subclasses set `kind` and `Settings`."""

    kind: ClassVar[str]
    settings_model: ClassVar[type[Settings]] = Settings
    public_only: ClassVar[bool] = False  # True: refused unless the study's data are public
    repeatable: ClassVar[bool] = False  # True: no patient's vector depends on which study asks
    # True: may be asked of a target trial. It names its `arms` and gives one row a patient in the
    # order of `records.patients`.
    emulable: ClassVar[bool] = False
    arms: tuple[str, ...] = ()  # that are compared, where any are
    category: ClassVar[Literal["train", "query", "evaluate"]] = "query"  # Flower's message type

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        self.spec = spec
        self.study = study
        self.name = spec.name
        try:
            self.settings: Any = self.settings_model.model_validate(spec.settings)
        except ValidationError as error:
            raise InputError(
                f"question {spec.name!r} ({spec.kind}) cannot be asked",
                code="question-invalid",
                why=faults_in_words(error),
                hint=f"docs/questions.md lists the settings of {spec.kind!r}",
            ) from None

    @property
    def from_time_zero(self) -> bool:
        """Whether arms are compared from time zero: then the study's target trial is emulated."""
        return False

    @property
    def alike(self) -> float:
        """No two rows of patients in different arms have a larger inner product, in bounds²."""
        return 1.0

    @property
    def target_trial(self) -> TargetTrial | None:
        """The trial that the question is asked of; None: of patients as they were recorded.

        Arms that were assigned at random are compared as assigned, whatever the study emulates.

        Raises:
            InputError: it is to be asked of the trial and cannot be.
        """
        asked, trial = self.spec.target_trial, self.study.target_trial
        randomised = bool(getattr(self.settings, "randomised", False))
        if asked and (randomised or not self.emulable):
            raise InputError(
                f"question {self.name!r} ({self.kind}) cannot be asked of the target trial",
                code="question-invalid",
                why="its arms were assigned at random, so there is nothing to emulate"
                if randomised
                else "this kind compares no arms from time zero",
                hint="leave target_trial out of the question",
            )
        wanted = self.from_time_zero and not randomised if asked is None else asked
        return trial if wanted and trial is not None and trial.emulates else None

    def counts_at(self, clinic: str) -> bool:
        """Whether the patients of the clinic of this name are asked; else it answers with nobody.

        Decided by the study's public groups of clinics alone.
        """
        return True

    @property
    def instrument(self) -> Instrument:
        """The study's outcome instrument: the study's own definition wins over the built-in."""
        return instrument_of(self.study, self.study.outcome.instrument)

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """What leaves a clinic: length, bound, rounds. Public; never from data."""

    @property
    def contribution(self) -> Contribution:
        """What one patient adds, in words that a clinic decides by; from the study alone."""
        return Contribution(
            asked=f"A question of the kind {self.kind!r}.",
            who="Every patient whom the study admits and whose records say what is asked.",
            how="Numbers that are computed from this patient's own records and from what the "
            "study makes public.",
        )

    @property
    def builds_on(self) -> tuple[str, ...]:
        """Names of the earlier questions whose released arrays `start` needs.

        Empty: every clinic can compute `start({})` itself, and refuses any other first state.
        """
        return ()

    def start(self, released: Released) -> Public:
        """The public state of the first round (model parameters; empty for most statistics)."""
        return np.zeros(0, dtype=np.float32)

    @property
    def state_length(self) -> int:
        """Values in the public state of every round; a clinic refuses any other number."""
        return int(self.start({}).size)

    @abstractmethod
    def prepare(self, records: Records) -> Prepared:
        """What `contributions` needs, computed once a run; pure per patient."""

    @abstractmethod
    def contributions(self, prepared: Prepared, public: Public) -> Iterator[Vector]:
        """Blocks (patients, length) float64, one row a patient, each with norm ≤ bound.

        A clinic without patients yields nothing. Row order is immaterial. Rows that break the
        bound are clipped by the door, rows with a NaN or an infinity become zero.
        """

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """The next round's public state from the noised sum of round `round_` (from 0)."""
        return public

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """The question's results as the planned cohort would give them, the primary one first.

        Empty: no standard error can be foretold (a model's training).
        """
        return ()

    @abstractmethod
    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """The answer, from the state and the sum of the last round."""

    def _refusal(self, why: str, hint: str) -> InputError:
        return InputError(
            f"question {self.name!r} ({self.kind}) cannot be asked",
            code="question-invalid",
            why=why,
            hint=hint,
        )


def instrument_of(study: Study, name: str) -> Instrument:
    """The instrument called `name` in this study.

    Raises:
        InputError: neither the study nor Cairn defines it.
    """
    for own in study.instruments:
        if own.name == name:
            return Instrument(own.name, own.lowest, own.highest, whole_numbers=False)
    if name in INSTRUMENTS:
        return INSTRUMENTS[name]
    raise InputError(
        f"the study names an unknown instrument, {name!r}",
        code="instrument-unknown",
        hint=f"known: {', '.join(INSTRUMENTS)}; or define it under [[instruments]] in the study",
    )


@dataclass(frozen=True)
class KeyedSplit:
    """A public-rate split of patients that depends on nothing but the patient's own identifier.

    The same patient falls on the same side in every question of a study, at every re-import.
    """

    study: bytes  # the study's digest
    held_out: float  # public rate, 0 to 1

    def is_held_out(self, patient: str) -> bool:
        """Whether `patient` is held out from training."""
        key = hashlib.blake2b(patient.encode(), key=self.study[:32], digest_size=8).digest()
        return int.from_bytes(key, "big") < int(self.held_out * 2**64)
