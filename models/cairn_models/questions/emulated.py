"""`Emulated`: a question that compares arms, asked of the study's target trial.

The kind stays as it is: it reads the records of each trial (`target_trial.in_trial`) as it would a
clinic's, and what its rows become is one weighted sum a person. So sums, bound, plan, audit and
answer are the kind's own, and every kind that may be emulated is emulated alike.

- One trial (a landmark): the kind's row, times the propensity weight if the study has one.
- Sequential trials: a first round counts person-trials by trial and arm; the second sums rows with
  the weights that these noised counts ask for (`trial_weights`). The server divides by the public
  norm, so the kind reads sums of weighted people with noise of its own standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.answers import Answer, Table
from cairn_models.cohort import NO_ARM
from cairn_models.contribution import Contribution
from cairn_models.propensity import OverlapWeights
from cairn_models.questions.base import (
    Expected,
    Public,
    Question,
    Released,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.emulated_words import landmark, notes, person_trial, person_trials
from cairn_models.records import Records
from cairn_models.target_trial import Trial, TrialRecords, in_trial, trials_of
from cairn_models.trial_weights import Comparison, TrialWeights, counting, usual_norm
from cairn_protocol.target_trial import TargetTrial

COUNTED: Final = 0.5  # the state's first number is 1 once person-trials were counted
READABLE: Final = 3.0  # standard deviations of its noise that a count must reach to be shown


@dataclass(frozen=True)
class Part:
    """One trial's `prepared` rows of the kind, with each patient's arm and weight, (N,)."""

    prepared: Any
    arm: NDArray[np.int64]
    weight: NDArray[np.float64]


class Emulated(Question[tuple[Part, ...]]):
    """`asked` of `target`.

    Args:
        asked: a question that may be emulated.
        planned: the same question in a study that plans for so many people as the trial would hold.
    """

    def __init__(self, asked: Question[Any], planned: Question[Any], target: TargetTrial) -> None:
        self.spec, self.study, self.name = asked.spec, asked.study, asked.name
        self.settings, self.arms = asked.settings, asked.arms
        for name in ("kind", "repeatable", "emulable", "category"):
            setattr(self, name, getattr(asked, name))
        self.asked, self._planned, self.target = asked, planned, target
        self.trials = trials_of(target)
        reference = target.among(self.study.cohort.arms)
        self._reference = self.arms.index(reference) if reference in self.arms else None
        self._units = counting(len(self.trials), len(self.arms), self._reference)
        self._overlap = None
        if target.propensity is not None:
            self._overlap = OverlapWeights(
                target.propensity, self.arms, self.instrument, self.study.variables, target.weeks
            )
        self._compared = Comparison(
            reference=self._reference,
            largest=np.ones(len(self.arms)) if self._overlap is None else self._overlap.largest,
            alike=asked.alike,
            fewest=self.study.disclosure.patients,
        )

    @property
    def from_time_zero(self) -> bool:
        """As the question that is emulated."""
        return self.asked.from_time_zero

    @property
    def alike(self) -> float:
        """As the question that is emulated."""
        return self.asked.alike

    @property
    def _pooled(self) -> bool:
        return len(self.trials) > 1

    @property
    def shape(self) -> Shape:
        """The kind's, with a round more where person-trials are counted first."""
        own = self.asked.shape
        if not self._pooled:
            return own
        return replace(own, length=max(own.length, self._units.size), rounds=own.rounds + 1)

    @property
    def contribution(self) -> Contribution:
        """The kind's; with several trials that of the first round, which counts person-trials."""
        own = self.asked.contribution
        if not self._pooled:
            return landmark(own, weighted=self._overlap is not None)
        units = self._units * self._unit
        return person_trial(own, self.shape.length, self.trials, self.arms, units)

    @property
    def builds_on(self) -> tuple[str, ...]:
        """As the question that is emulated."""
        return self.asked.builds_on

    def start(self, released: Released) -> Public:
        """The kind's state; before it, with several trials, a zero and room for the counts."""
        own = self.asked.start(released)
        if not self._pooled:
            return own
        return np.concatenate([np.zeros(1 + self._units.size, dtype=np.float32), own])

    @property
    def state_length(self) -> int:
        """As `start` has it."""
        before = 1 + self._units.size if self._pooled else 0
        return before + self.asked.state_length

    def prepare(self, records: Records) -> tuple[Part, ...]:
        """Each trial's records as the kind prepares them, with arms and propensity weights."""
        arms, instrument = self.study.cohort.arms, self.instrument
        found = []
        for trial in self.trials:
            held = in_trial(records, trial, self.target, instrument, arms)
            arm = self._arms_of(held.records)
            found.append(
                Part(self.asked.prepare(held.records), arm, self._weights(held, trial, arm))
            )
        return tuple(found)

    def contributions(self, prepared: tuple[Part, ...], public: Public) -> Iterator[Vector]:
        """One row a patient, in the order of `records.patients`; zero for who is in no trial."""
        if self._pooled and not public[0] > COUNTED:
            yield self._counts(prepared)
            return
        weights, own = self._read(public)
        scaled = [
            part.weight * _of_arm(weights.each[number] / weights.norm, part.arm)
            for number, part in enumerate(prepared)
        ]
        every = [self.asked.contributions(part.prepared, own) for part in prepared]
        first = 0
        for blocks in zip(*every, strict=True):
            last = first + len(blocks[0])
            rows = np.zeros((len(blocks[0]), self.shape.length))
            for block, factor in zip(blocks, scaled, strict=True):
                rows[:, : block.shape[1]] += block * factor[first:last, None]
            yield rows
            first = last

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """After the first of several trials' rounds, the counts; then the kind's own state."""
        if not self._pooled:
            return self.asked.advance(public, total, round_)
        size = self._units.size
        head, own = public[: 1 + size], public[1 + size :]
        if round_ == 0:
            told = np.asarray(total[:size], dtype=np.float64) / (self._units.ravel() * self._unit)
            head = np.concatenate([[1.0], told]).astype(np.float32)
        else:
            own = self.asked.advance(own, self._unscaled(public, total), round_ - 1)
        return np.concatenate([head, own]).astype(np.float32)

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """The kind's, for the share of planned people that a trial counts, and a usual norm."""
        return self._planned.expected(
            SumNoise(noise.sd * (usual_norm(self.alike) if self._pooled else 1.0))
        )

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """The kind's answer, with what was emulated among its notes and person-trials beside it."""
        own, sums, read = public, total, noise
        tables: tuple[Table, ...] = ()
        if self._pooled:
            weights, own = self._read(public)
            sums, read = self._unscaled(public, total), SumNoise(noise.sd * weights.norm)
            counts = self._counted(public)
            unit = self._units * self._unit
            fewest = np.maximum(self.study.disclosure.patients, READABLE * noise.sd / unit)
            tables = (person_trials(self.trials, self.arms, counts, weights.each, fewest),)
        answer = self.asked.estimate(own, sums, read)
        return replace(
            answer,
            tables=(*answer.tables, *tables),
            notes=(*answer.notes, *notes(self.target, self.study, self.asked.from_time_zero)),
        )

    def _arms_of(self, records: Records) -> NDArray[np.int64]:
        people = records.patients.unique("patient", keep="first", maintain_order=True)
        places = {name: place for place, name in enumerate(self.arms)}
        return np.array([places.get(arm, NO_ARM) for arm in people["arm"]], dtype=np.int64)

    def _weights(
        self, held: TrialRecords, trial: Trial, arm: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(N,) propensity weights in the arms that people are in; 1 where the study has none."""
        if self._overlap is None:
            return np.ones(len(arm))
        people = held.records.patients.unique("patient", keep="first", maintain_order=True)
        score = people.select("patient").join(
            held.baseline, on="patient", how="left", maintain_order="left"
        )["baseline"]
        baseline = score.fill_null(float("nan")).to_numpy().astype(np.float64)
        each = self._overlap.of(held.records, baseline, trial.zero)
        return np.where(arm == NO_ARM, 0.0, each[np.arange(len(arm)), arm])

    @property
    def _unit(self) -> float:
        """The bound that a row of counts may use."""
        return self.asked.shape.bound or 1.0

    def _counts(self, prepared: Sequence[Part]) -> Vector:
        rows = np.zeros((len(prepared[0].arm), len(self.trials), len(self.arms)))
        for number, part in enumerate(prepared):
            (told,) = np.nonzero(part.arm != NO_ARM)
            place = part.arm[told]
            unit = self._units[number, place] * self._unit
            rows[told, number, place] = part.weight[told] * unit
        size = self._units.size
        return np.pad(rows.reshape(-1, size), ((0, 0), (0, self.shape.length - size)))

    def _counted(self, public: Public) -> NDArray[np.float64]:
        """(trials, arms) noised person-trials from the state."""
        told = np.asarray(public[1 : 1 + self._units.size], dtype=np.float64)
        return told.reshape(self._units.shape)

    def _read(self, public: Public) -> tuple[TrialWeights, Public]:
        if not self._pooled:
            return TrialWeights(np.ones((1, len(self.arms))), 1.0), public
        weights = TrialWeights.of(self._counted(public), self._compared)
        return weights, public[1 + self._units.size :]

    def _unscaled(self, public: Public, total: Vector) -> Vector:
        """The kind's sum, of weighted people."""
        weights, _ = self._read(public)
        return np.asarray(total[: self.asked.shape.length] * weights.norm)


def _of_arm(of: NDArray[np.float64], arm: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) the number of each patient's arm; 0 where there is none."""
    return np.where(arm == NO_ARM, 0.0, of[np.maximum(arm, 0)])
