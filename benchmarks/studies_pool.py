"""`Pool`: a known population of synthetic patients, and any number of noised studies of it.

The population's records go through the question's own code once, and through the clinic's bounding
and rounding. A study then draws its patients from the population, one by one with replacement, and
adds what its clinics would add: the discrete noise of each. So the population *is* the truth, to
the last digit, and a study's sum is one that clinics could have sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.answers import Estimate
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_privacy.bound import bounded_rows
from cairn_privacy.noise import NoisePlan
from cairn_privacy.question_terms import QuestionTerms
from cairn_privacy.sampler import discrete_gaussian
from cairn_protocol.errors import OurFault
from cairn_protocol.study import Study

CLINICS = 10
ARMS = ("waiting", "dmhi_guided")
CLINIC_SIZE = 500  # of the population; its sites differ, and a study draws from all of them
SEED = 20
EMPTY = np.zeros(0, dtype=np.float32)
BLOCK = 200  # studies at a time


def population(patients: int, arms: Iterable[str] = ARMS, *, weeks: int = 14) -> Records:
    """Synthetic records of a population with `arms` of equal chance."""
    world, kept = World(), tuple(arms)
    world = replace(
        world,
        arms=tuple(replace(a, share=1 / len(kept)) for a in world.arms if a.name in kept),
    )
    made = generate(world, [CLINIC_SIZE] * (patients // CLINIC_SIZE), seed=SEED, weeks=weeks)
    patients_, scores, engagement = (
        pl.concat([getattr(r, table) for r in made])
        for table in ("patients", "scores", "engagement")
    )
    return Records(patients_, scores, engagement)


def study_of(patients: int, question: str, *, epsilon: float, arms: Iterable[str] = ARMS) -> Study:
    """A study of so many planned patients in ten clinics, with the policy that `safe_policy` gives.

    Args:
        question: the settings of its one question, as TOML, `kind` among them.
    """
    named = ", ".join(f'"{arm}"' for arm in arms)
    text = f"""
        cairn = 1
        name = "studies"
        title = "Synthetic studies"
        synthetic = true
        [outcome]
        instrument = "PHQ-9"
        [cohort]
        arms = [{named}]
        planned_patients = {patients}
        largest_clinic = {patients // 2}
        [policy]
        clinics = {CLINICS}
        survivors = 8
        threshold = 8
        colluding = 2
        dropout = "recovered"
        [[questions]]
        name = "asked"
        epsilon = {epsilon}
        {question}
    """
    return Study.parse(text.encode())


@dataclass(frozen=True)
class Pool:
    """One question of `study`, and every person of the population as they would be sent.

    `rows` (people, d) int64 in steps of the grid.
    """

    question: Question[object]
    terms: QuestionTerms
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, study: Study, records: Records, asked: str = "asked") -> Pool:
        """The population `records` as the question `asked` of `study` sees it."""
        (spec,) = (spec for spec in study.questions if spec.name == asked)
        question = build(spec, study)
        shape = question.shape
        terms = QuestionTerms.of(study, spec, shape, CLINICS)
        if terms.noise is None or shape.bound is None:
            raise OurFault("a study of patients has noise", code="bench-noise")
        blocks = question.contributions(question.prepare(records), EMPTY)
        steps = [bounded_rows(rows, shape.bound, terms.noise.grid) for rows in blocks]
        return cls(question, terms, np.concatenate(steps))

    @property
    def noise(self) -> NoisePlan:
        """What each clinic adds."""
        assert self.terms.noise is not None
        return self.terms.noise

    @property
    def sd(self) -> float:
        """The noise in a sum over all clinics, in the question's units."""
        return self.terms.sum_sd

    @cached_property
    def truth(self) -> Mapping[str, Estimate]:
        """Every number of the answer as it is in the population."""
        return self.read(self.rows.sum(axis=0) * self.terms.scale.step, 0.0)

    def read(self, total: NDArray[np.float64], sd: float) -> Mapping[str, Estimate]:
        """The answer's numbers by name, from a sum whose noise has the deviation `sd`."""
        answer = self.question.estimate(EMPTY, total, SumNoise(sd))
        return {estimate.name: estimate for estimate in answer.estimates}

    def sums(
        self, patients: int, studies: int, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """(d,) sums without noise, of `studies` studies of so many people each."""
        for _ in range(studies):
            drawn = rng.integers(0, len(self.rows), patients)
            yield self.rows[drawn].sum(axis=0) * self.terms.scale.step

    def noises(self, studies: int) -> NDArray[np.float64]:
        """(studies, d) what all clinics add to a sum."""
        length = self.rows.shape[1]
        drawn = discrete_gaussian(self.noise.clinic_sigma_steps, studies * CLINICS * length)
        summed = drawn.reshape(studies, CLINICS, length).sum(axis=1)
        return np.asarray(summed * self.terms.scale.step)

    @property
    def local(self) -> Pool:
        """The same with local noise: each clinic adds as much as a sum would need (h = 1)."""
        return replace(self, terms=replace(self.terms, noise=replace(self.noise, honest=1)))
