"""A made-up study's results, as rich as a real one's: three questions, three arms, an oracle."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

import postgres_server
from cairn_models.answers import Answer, Bars, Course, Estimate, Forest, Table
from cairn_protocol.study import Study
from cairn_server.results import (
    Participant,
    QuestionSpend,
    RunFacts,
    Spend,
    StudyResults,
    TotalSpend,
)
from cairn_server.store import Store

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
STUDY = """
cairn = 1
name = "waiting-demo"
title = "Do digital programmes help people who wait for psychotherapy?"
purpose = "Compare depressive symptoms on the waiting list with and without a programme."
team = "Example research team"
synthetic = %s

[outcome]
instrument = "PHQ-9"

[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 3000
largest_clinic = 600

[policy]
clinics = 10
survivors = 8
threshold = 7
colluding = 2
dropout = "recovered"

[[questions]]
name = "guided-or-waiting"
kind = "effect"
epsilon = 1.0

[[questions]]
name = "expected-course"
kind = "trajectory"
epsilon = 2.0

[[questions]]
name = "how-far-off"
kind = "error"
epsilon = 0.5
"""


def estimate(name: str, label: str, value: float, error: float, noise: float = 0.2) -> Estimate:
    """An estimate with a normal interval, in PHQ-9 points."""
    return Estimate(
        name=name,
        label=label,
        value=value,
        low=value - 1.96 * error,
        high=value + 1.96 * error,
        standard_error=error,
        noise_share=noise,
        unit="PHQ-9 points",
    )


def hidden(name: str, label: str) -> Estimate:
    """A suppressed estimate."""
    return Estimate(name, label, None, unit="PHQ-9 points", suppressed="fewer than 10 patients")


def effect_answer() -> Answer:
    """Two contrasts, one subgroup held back."""
    title = "Change in PHQ-9 at week 8 by arm, unadjusted for confounding"
    contrasts = (
        estimate("dmhi_unguided-waiting", "dmhi_unguided against waiting", -1.1234567, 0.36),
        estimate("dmhi_guided-waiting", "dmhi_guided against waiting", -2.3456789, 0.41, 0.31),
        hidden("over-65", "dmhi_guided, aged 65 and over against waiting"),
    )
    arms = tuple(
        estimate(f"change-{arm}", f"mean change in {arm}", change, 0.27)
        for arm, change in zip(ARMS, (-0.82, -1.94, -3.17), strict=True)
    )
    return Answer(
        question="guided-or-waiting",
        kind="effect",
        title=title,
        sentences=(
            "At week 8 people offered a guided programme had improved by 2.3 PHQ-9 points more "
            "than people waiting (95 % interval 1.5 to 3.1, 31 % of its variance "
            "privacy noise), unadjusted for confounding.",
            "People offered an unguided programme had improved by 1.1 points more (0.4 to 1.8).",
            "Nothing can be said about people aged 65 and over: fewer than 10 patients.",
        ),
        estimates=(*contrasts, *arms),
        tables=(
            Table(
                "By arm, at week 8",
                ("arm", "patients with both scores (noised)", "mean change", "why not shown"),
                (
                    ("waiting", 1103, -0.82, ""),
                    ("dmhi_unguided", 947, -1.94, ""),
                    ("dmhi_guided", 871, -3.17, ""),
                ),
                "Counts are noised and may be off by 18 either way.",
            ),
        ),
        figures=(Forest(title, "difference in change, PHQ-9 points", contrasts, better="left"),),
        notes=(
            "Estimand: difference between arms in the mean of change in PHQ-9 from baseline to "
            "week 8 (± 2), winsorised at ±8 points; people with both scores.",
            "Intervals count the privacy noise in the sums, in the counts and in the spreads.",
        ),
    )


def trajectory_answer() -> Answer:
    """Expected courses over 26 weeks."""
    weeks = tuple(float(w) for w in range(0, 27, 2))
    series = {}
    for arm, drop, speed in zip(ARMS, (1.4, 2.9, 4.6), (9.0, 7.0, 6.0), strict=True):
        middle = tuple(15.2 - drop * (1 - math.exp(-w / speed)) for w in weeks)
        series[arm] = {
            "middle": middle,
            "low": tuple(m - 0.25 - 0.05 * w for m, w in zip(middle, weeks, strict=True)),
            "high": tuple(m + 0.25 + 0.05 * w for m, w in zip(middle, weeks, strict=True)),
        }
    return Answer(
        question="expected-course",
        kind="trajectory",
        title="Expected course of PHQ-9 by arm",
        sentences=(
            "From a PHQ-9 of 15.2 the model expects 13.9 points after 26 weeks of waiting, "
            "12.4 with an unguided and 10.7 with a guided programme.",
        ),
        figures=(
            Course(
                "Expected course of PHQ-9 by arm, from a score of 15.2",
                "weeks since entry to the waiting list",
                "PHQ-9 points",
                weeks,
                series,
                band="Bands hold the middle 80 % of the model's predictions for the mean course.",
            ),
        ),
        notes=("Pre-trained on public worlds; 40 rounds with the clinics.",),
    )


def error_answer() -> Answer:
    """Mean absolute error by horizon: prior beside model beside last value."""
    horizons = ("1 week", "2 weeks", "4 weeks", "8 weeks")
    rows = {
        "last value carried forward": (1.81, 2.09, 2.54, 3.12),
        "prior: before any patient": (1.69, 1.92, 2.31, 2.84),
        "model": (1.58, 1.77, 2.04, 2.43),
    }
    series = {
        name: tuple(
            estimate(f"{name}-{h}", f"{name}, {h} ahead", v, 0.035 + 0.01 * i, 0.4)
            for i, (h, v) in enumerate(zip(horizons, values, strict=True))
        )
        for name, values in rows.items()
    }
    return Answer(
        question="how-far-off",
        kind="error",
        title="Error of prediction on patients held out from training",
        sentences=(
            "Eight weeks ahead the model is off by 2.4 PHQ-9 points on average, the prior alone "
            "by 2.8 and the last value carried forward by 3.1.",
        ),
        figures=(
            Bars(
                "Mean absolute error by horizon: lower is better",
                "weeks ahead",
                "mean absolute error, PHQ-9 points",
                horizons,
                series,
            ),
        ),
        notes=("One patient in five was held out by a keyed hash of the patient's identifier.",),
    )


def oracle_answer() -> Answer:
    """What only made-up records can tell."""
    return Answer(
        question="oracle",
        kind="oracle",
        title="Beside the truth",
        sentences=("The true difference of the guided programme is −2.4 points; found: −2.3.",),
        tables=(
            Table(
                "Found and true",
                ("contrast", "true", "pooled, no noise", "found"),
                (
                    ("dmhi_guided against waiting", -2.4, -2.31, -2.3456789),
                    ("dmhi_unguided against waiting", -1.2, -1.19, -1.1234567),
                ),
            ),
        ),
    )


def build_results(*, synthetic: bool = True, oracle: bool = True) -> StudyResults:
    """Results of a study on ten clinics."""
    noise = "discrete Gaussian, each clinic adds its share"
    return StudyResults(
        study=Study.parse((STUDY % str(synthetic).lower()).encode()),
        answers=(effect_answer(), trajectory_answer(), error_answer()),
        spend=Spend(
            (
                QuestionSpend("guided-or-waiting", 0.98, 1e-6, 0.0171, 1, 5.41, noise),
                QuestionSpend("expected-course", 1.97, 1e-6, 0.0642, 40, 17.65, noise),
                QuestionSpend("how-far-off", 0.49, 1e-6, 0.0046, 1, 10.4, noise),
            ),
            TotalSpend(2.3, 1e-6, 0.0859),
        ),
        statement=(
            "Someone who knows everything about everyone else, and sees all that left the "
            "clinics, is at most 10 times as sure as before that a person was in this study.",
            "Asked to guess whether one person took part, they are right at most 86 times in 100 "
            "where a coin would be right 50 times.",
        ),
        participants=tuple(
            Participant(f"Clinic {name}", f"{37 * i + 11:04x}-91ab-{53 * i + 7:04x}-c0de")
            for i, name in enumerate("ABCDEFGHIJ")
        ),
        run=RunFacts(
            run_id="5f3a9c0d12e4",
            started="2026-11-20T09:14:03Z",
            seconds=187.4,
            messages=1684,
            bytes_moved=38_412_990,
            engine="embedded",
            code_version="0.1.0",
        ),
        oracle=oracle_answer() if oracle and synthetic else None,
        synthetic=synthetic,
    )


@pytest.fixture(scope="session")
def make_results() -> Callable[..., StudyResults]:
    """`build_results`, to be varied with `dataclasses.replace`."""
    return build_results


@pytest.fixture(scope="session")
def results() -> StudyResults:
    """Synthetic results with an oracle."""
    return build_results()


@pytest.fixture(scope="session")
def awkward() -> StudyResults:
    """Hostile names, long labels, one group, seven arms, nothing but suppressed numbers, gaps."""
    hostile = '<script>alert("x")</script> & $x_1$'
    seven = {
        f"{hostile if i == 6 else 'arm'} with a long name number {i}": {
            "middle": (10.0, 10.01 * (1 if i else math.nan), -0.5 + 0.01 * i),
            "low": (9.0, 9.0, -2.0),
            "high": (11.0, 11.0, 1.0),
        }
        for i in range(7)
    }
    seven["an arm that nobody may see"] = {"middle": (math.nan,) * 3}
    nothing = hidden("a", hostile)
    answer = Answer(
        question="awkward",
        kind="effect",
        title=hostile,
        sentences=(hostile, "=1+1"),
        estimates=(nothing, Estimate("b", "=HYPERLINK(0)", None)),
        tables=(Table(hostile, ("a", hostile), ((hostile, None), ("b", math.nan))),),
        figures=(
            Forest("All suppressed", "points", (nothing,), better="right"),
            Forest("No estimates at all", "points", ()),
            Course("Seven arms", "weeks", "points", (0.0, 4.0, 8.0), seven),
            Course("One time", "weeks", "points", (0.0,), {"only": {"middle": (3.0,)}}),
            Bars(
                hostile,
                "group",
                "points",
                ("one group only with quite a long name for its slot",),
                {hostile: (nothing,), "seen": (estimate("s", "seen", -1.0, 0.8),)},
            ),
        ),
    )
    base = build_results()
    source = base.study.source.replace(b"Example research team", b"<script>alert(1)</script>")
    return replace(
        base,
        study=Study.parse(source),
        answers=(answer,),
        participants=(Participant(hostile, "00ff"),),
        statement=(hostile,),
    )


@pytest.fixture(scope="session")
def database() -> Iterator[Callable[[], str]]:
    """The address of an empty PostgreSQL database; another one at each call."""
    if reason := postgres_server.why_not():
        pytest.skip(reason)
    with postgres_server.server() as folder:
        engine = sa.create_engine(
            f"postgresql+psycopg://owner@/postgres?host={folder}", isolation_level="AUTOCOMMIT"
        )
        number = count()

        def made() -> str:
            name = f"cairn{next(number)}"
            with engine.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
            return f"postgresql://owner@/{name}?host={folder}"

        yield made
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens a store, the same one at each call, in either system."""
    if request.param == "sqlite":
        return lambda: Store.open_file(tmp_path / "store.sqlite")
    address = request.getfixturevalue("database")()
    return lambda: Store.open(address)
