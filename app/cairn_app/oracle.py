"""`oracle_answer`: what the answers would be without privacy, and the truth behind the records.

It pools all patients and asks the generator, so it exists for synthetic data only; the report
shows it in a box of its own that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.answers import Answer, Cell, Estimate, Table
from cairn_models.baselines import ridge_oracle
from cairn_models.questions import build
from cairn_models.questions.base import Question, SumNoise
from cairn_models.questions.held_out import Split
from cairn_models.records import Records
from cairn_models.synthetic import World, true_effect
from cairn_protocol.study import QuestionSpec, Study

TRUTH_PATIENTS = 4_000
Members = Mapping[str, Collection[str]]
"""The clinics in each question's last sum, by name."""


def oracle_answer(
    study: Study,
    world: World,
    clinics: Mapping[str, Records],
    answers: Sequence[Answer],
    members: Members,
) -> Answer:
    """One table a question: the answer beside the pooled one without privacy and the truth.

    Args:
        clinics: each clinic's records, by its name.
        members: who is in each question's last sum; the same clinics are pooled.
    """

    def pooled(answer: Answer) -> Records:
        return _pool([r for name, r in clinics.items() if name in members[answer.question]])

    by_kind = {answer.kind: answer for answer in answers}
    specs = {spec.kind: spec for spec in study.questions}
    tables = []
    if effect := by_kind.get("effect"):
        tables.append(_effects(study, specs["effect"], world, pooled(effect), effect))
    if error := by_kind.get("error"):
        there = {name: r for name, r in clinics.items() if name in members[error.question]}
        tables.append(_errors(study, there, error))
    return Answer(
        question="oracle",
        kind="oracle",
        title="Only possible because the data are synthetic",
        sentences=(
            "Beside each answer stands what the same question gives over all patients of the "
            "same clinics in one place without any noise, and the truth that the records were "
            "made from.",
        ),
        tables=tuple(tables),
    )


def _pool(clinics: Sequence[Records]) -> Records:
    return Records(
        pl.concat([c.patients for c in clinics], how="diagonal").sort("patient"),
        pl.concat([c.scores for c in clinics]),
        pl.concat([c.engagement for c in clinics]),
        pl.concat([c.wearables for c in clinics]),
        clinics[0].time_unit,
    )


def _without_noise(question: Question[object], records: Records) -> Answer:
    public = question.start({})
    total = np.zeros(question.shape.length)
    for block in question.contributions(question.prepare(records), public):
        total += block.sum(axis=0)
    return question.estimate(public, total, SumNoise(0.0))


def _effects(
    study: Study, spec: QuestionSpec, world: World, pooled: Records, answer: Answer
) -> Table:
    question = build(spec, study)
    exact = {e.name: e for e in _without_noise(question, pooled).estimates}
    reference, *arms = study.cohort.arms
    rows: list[tuple[Cell, ...]] = []
    for arm in arms:
        name = f"{arm}-{reference}"
        given = next(e for e in answer.estimates if e.name == name)
        week = round(float(spec.settings.get("week", 8)))
        truth = true_effect(world, week, arm, reference, patients=TRUTH_PATIENTS)
        rows.append((given.label, *_numbers(given), *_numbers(exact[name]), truth.points))
    return Table(
        title=f"Difference in change of {study.outcome.instrument}",
        columns=("contrast", *_COLUMNS, "pooled", "pooled low", "pooled high", "truth"),
        rows=tuple(rows),
        note="The truth follows everybody to the end and is not winsorised; the study saw those "
        "who were still measured.",
    )


def _errors(study: Study, clinics: Mapping[str, Records], answer: Answer) -> Table:
    specs = {spec.name: spec for spec in study.questions}
    trained = build(specs[specs[answer.question].settings["model"]], study)
    split = Split.of(study, trained.settings.held_out)
    test = _pool([_only(r, split.judging) for n, r in clinics.items() if split.judges_at(n)])
    train = _pool([_only(r, split.training) for n, r in clinics.items() if split.trains_at(n)])
    ridge = ridge_oracle(train, test, study)
    rows: list[tuple[Cell, ...]] = []
    for horizon, error in sorted(ridge.items()):
        given = _named(answer, f"mae_model_week{horizon}")
        rows.append((f"{horizon} weeks ahead", *_numbers(given), error))
    return Table(
        title="Mean absolute error of the model beside ridge regression on pooled records",
        columns=("horizon", *_COLUMNS, "ridge, pooled"),
        rows=tuple(rows),
        note="Ridge was fitted on all training patients in one place, without privacy.",
    )


_COLUMNS = ("answer", "low", "high")


def _numbers(estimate: Estimate) -> tuple[Cell, Cell, Cell]:
    return estimate.value, estimate.low, estimate.high


def _named(answer: Answer, name: str) -> Estimate:
    return next(estimate for estimate in answer.estimates if estimate.name == name)


def _only(records: Records, chosen: Callable[[Sequence[str]], NDArray[np.int64]]) -> Records:
    patients = records.patients[chosen(records.patients["patient"].to_list())]
    mine = pl.col("patient").is_in(patients["patient"].implode())
    return Records(
        patients,
        records.scores.filter(mine),
        records.engagement.filter(mine),
        records.wearables.filter(mine),
        records.time_unit,
    )
