"""Studies and small synthetic clinics for the tests of the trajectory model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
import torch

from cairn_models.questions import build
from cairn_models.questions.base import Question
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_protocol.study import Study

Ask = Callable[..., Question[Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def study_of(
    *, course: dict[str, Any] | None = None, error: dict[str, Any] | None = None, head: str = ""
) -> Study:
    """A study that trains 'course' and then asks 'error' about it, on synthetic data."""

    def lines(settings: dict[str, Any] | None) -> str:
        words = {k: f'"{v}"' if isinstance(v, str) else v for k, v in (settings or {}).items()}
        return "\n".join(f"{k} = {v}" for k, v in words.items())

    head = head or '[outcome]\ninstrument = "PHQ-9"'
    return Study.parse(
        f"""
cairn = 1
name = "synthetic-study"
title = "Synthetic"
synthetic = true
{head}
[cohort]
arms = ["waiting", "dmhi_guided"]
planned_patients = 100
largest_clinic = 400
[[questions]]
name = "course"
kind = "trajectory"
epsilon = 2.0
{lines(course)}
[[questions]]
name = "error"
kind = "error"
epsilon = 1.0
{lines({"model": "course"} | (error or {}))}
""".encode()
    )


@pytest.fixture(scope="session")
def ask() -> Ask:
    """`ask("course", course={...}, error={...})`: that question of `study_of`."""

    def build_one(name: str, **settings: Any) -> Question[Any]:
        study = study_of(**settings)
        return next(build(spec, study) for spec in study.questions if spec.name == name)

    return build_one


@pytest.fixture(scope="session")
def clinic() -> Records:
    """60 synthetic patients of one clinic."""
    return generate(World(), [60], seed=3)[0]


def pooled_of(world: World, sizes: list[int], seed: int) -> Records:
    """Several synthetic clinics' patients in one table: one clinic's own level is no cohort."""
    clinics = generate(world, sizes, seed=seed)
    tables = ("patients", "scores", "engagement", "wearables")
    return Records(*(pl.concat([getattr(c, table) for c in clinics]) for table in tables))


@pytest.fixture(scope="session")
def pooled() -> Callable[..., Records]:
    """`pooled(world, sizes, seed)`."""
    return pooled_of


def with_rows(
    records: Records,
    patient: str,
    scores: list[tuple[float, float]],
    engagement: list[tuple[float, str, float]] | None = None,
    arm: str | None = "waiting",
) -> Records:
    """`records` and one more patient with these PHQ-9 (time, value) and engagement rows."""
    who = pl.DataFrame({"patient": [patient], "arm": [arm]}, schema_overrides={"arm": pl.String})
    rows = [(patient, t, "PHQ-9", v) for t, v in scores]
    uses = [(patient, t, m, v) for t, m, v in engagement or []]
    schema = records.scores.schema
    return Records(
        pl.concat([records.patients, who], how="diagonal").sort("patient"),
        pl.concat([records.scores, pl.DataFrame(rows, schema=schema, orient="row")]),
        pl.concat(
            [
                records.engagement,
                pl.DataFrame(uses, schema=records.engagement.schema, orient="row"),
            ]
        ),
        records.wearables,
        records.time_unit,
    )


@pytest.fixture(scope="session")
def added() -> Callable[..., Records]:
    """`added(records, patient, scores, engagement)`: one more patient."""
    return with_rows


NOT_A_NUMBER, ENDLESS, HUGE = float("nan"), float("inf"), 1e30


@pytest.fixture(
    params=[
        pytest.param([], id="no scores"),
        pytest.param([(0.0, 12.0)], id="one score"),
        pytest.param([(t, NOT_A_NUMBER) for t in range(27)], id="NaN"),
        pytest.param([(t, ENDLESS) for t in range(27)], id="infinite"),
        pytest.param([(t, HUGE) for t in range(27)], id="1e30"),
        pytest.param([(float(t), float(27 * (t % 2))) for t in range(27)], id="swinging"),
        pytest.param([(40.0, 12.0), (52.0, 3.0)], id="beyond the weeks"),
        pytest.param([(NOT_A_NUMBER, 12.0), (ENDLESS, 3.0), (-HUGE, 3.0)], id="times not finite"),
        pytest.param([(0.0, 12.0)] * 500, id="500 scores at once"),
    ]
)
def hostile(request: pytest.FixtureRequest, clinic: Records) -> Records:
    """The clinic with one hostile patient, 'zz-hostile', who also has hostile engagement."""
    uses = [(0.0, "logins", HUGE), (1.0, "logins", NOT_A_NUMBER), (2.0, "credibility", ENDLESS)]
    return with_rows(clinic, "zz-hostile", request.param, uses)
