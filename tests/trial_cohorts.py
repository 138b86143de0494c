"""Made-up patients for tests of target trials: their scores, starts and therapy by week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.records import ENGAGEMENT, PATIENT_COLUMNS, SCORES, Records
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi")
STUDY = """
cairn = 1
name = "trial"
title = "A target trial"
synthetic = true
outcome = {{ instrument = "PHQ-9" }}
cohort = {{ arms = {arms}, planned_patients = 1000, largest_clinic = 4000 }}
privacy = {{ data = "{data}" }}
disclosure = {{ patients = {fewest} }}
variables.severe = {{ levels = ["no", "yes"] }}
variables.age = {{ lowest = 16, highest = 96 }}
{trial}
[[questions]]
name = "asked"
{question}
"""
EFFECT = 'kind = "effect"\nweek = 8\nbaseline_window = [-1, 0]'
RETENTION = 'kind = "retention"\nends = [2, 4, 6, 8, 10]\nat = 8\nwindow = 0'
LANDMARK = '[target_trial]\ndesign = "landmark"\nstarts = ["dmhi"]\ngrace = 4'
SEQUENTIAL = (
    '[target_trial]\ndesign = "sequential"\nstarts = ["dmhi"]\ngrace = 2\ntrials = [0, 2, 4, 6]'
)


def study(
    question: str,
    trial: str = "",
    *,
    data: str = "public",
    arms: Sequence[str] = ARMS,
    fewest: int = 1,
) -> Study:
    """A study of one question, "asked"."""
    spent = "" if data == "public" else "\nepsilon = 1"
    text = STUDY.format(
        arms=list(arms), data=data, trial=trial, question=question + spent, fewest=fewest
    ).replace("'", '"')
    return Study.parse(text.encode())


def asked(question: str, trial: str = "", **of_study: object) -> Question:
    """The question of `study`."""
    made = study(question, trial, **of_study)  # type: ignore[arg-type]
    return build(made.questions[0], made)


@dataclass(frozen=True)
class Person:
    """One patient: arm, {week: PHQ-9}, and {measure: week} of what happened."""

    arm: str | None
    scores: Mapping[float, float]
    events: Mapping[str, float] = field(default_factory=dict)
    severe: str = "no"
    age: float = 40.0


def records(people: Sequence[Person]) -> Records:
    """A clinic of `people`, called p0000, p0001, … in order."""
    names = [f"p{i:04d}" for i in range(len(people))]
    rows = list(zip(names, people, strict=True))
    scores = [(n, float(t), "PHQ-9", float(v)) for n, p in rows for t, v in p.scores.items()]
    events = [(n, float(t), m, 1.0) for n, p in rows for m, t in p.events.items()]
    return Records(
        pl.DataFrame(
            [(n, p.arm, None, p.severe, p.age) for n, p in rows],
            schema={**PATIENT_COLUMNS, "severe": pl.String, "age": pl.Float64},
            orient="row",
        ),
        pl.DataFrame(scores, schema=SCORES, orient="row"),
        pl.DataFrame(events, schema=ENGAGEMENT, orient="row"),
    )


def rows(question: Question, held: Records, *states: np.ndarray) -> list[np.ndarray]:
    """(N, length) every patient's row, at each public state."""
    prepared = question.prepare(held)
    return [
        np.concatenate(
            [np.zeros((0, question.shape.length)), *question.contributions(prepared, state)]
        )
        for state in states
    ]


def answered(question: Question, clinics: Sequence[Records], noise: float = 0.0, seed: int = 0):
    """The answer over `clinics` with so much noise in each sum, and the last state and sum."""
    rng = np.random.default_rng(seed)
    state, total = question.start({}), np.zeros(question.shape.length)
    prepared = [question.prepare(clinic) for clinic in clinics]
    for round_ in range(question.shape.rounds):
        total = noise * rng.standard_normal(question.shape.length)
        for own in prepared:
            for block in question.contributions(own, state):
                total = total + block.sum(axis=0)
        state = question.advance(state, total, round_)
    return question.estimate(state, total, SumNoise(noise)), state, total


def split(held: Records, clinics: int) -> list[Records]:
    """The patients dealt out to so many clinics."""
    names = held.patients["patient"]
    return [held.only(names.gather_every(clinics, k)) for k in range(clinics)]


def null_cohort(size: int, seed: int) -> Records:
    """People whom the programme does nothing to, and who must still wait in order to begin it.

    A place comes up at some week, early ones more often; whoever has by then begun therapy, or is
    no longer measured, does not take it and stays recorded as waiting. Scores fall fast at first,
    and further once therapy began. So who began had waited longer without therapy (immortal time).
    """
    rng = np.random.default_rng(seed)
    place, therapy, lost = (
        14 * rng.random(size) ** 4,
        rng.exponential(9, size),
        rng.exponential(14, size),
    )
    began = place < np.minimum(therapy, lost)
    severe = rng.normal(17, 3, size)
    people = []
    for i in range(size):
        weeks = np.arange(0, min(np.floor(lost[i]), 16) + 1)
        fall = 7 * (1 - np.exp(-weeks / 3)) + 1.5 * np.minimum(np.maximum(weeks - therapy[i], 0), 6)
        scores = np.clip(np.round(severe[i] - fall + rng.normal(0, 1.5, len(weeks))), 0, 27)
        events = {"started": float(place[i])} if began[i] else {}
        people.append(
            Person(
                "dmhi" if began[i] else "waiting",
                dict(zip(weeks, scores, strict=True)),
                events | ({"therapy_started": float(therapy[i])} if therapy[i] < 16 else {}),
            )
        )
    return records(people)
