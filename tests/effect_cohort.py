"""People, studies and answers for tests of the effect question's contrasts. Synthetic data."""

import datetime as dt

import numpy as np
import polars as pl

from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.records import SCORES, Records
from cairn_protocol.study import Study

ARMS = ("waiting", "dmhi_unguided", "dmhi_guided")
SITES = ("north", "south", "east")
EMPTY = np.zeros(0, dtype=np.float32)


def question(more="", *, arms=ARMS, extra="", clinics=1):
    listed = ", ".join(f'"{a}"' for a in arms)
    sites = ", ".join(f'"{s}"' for s in SITES)
    study = Study.parse(
        f"""
        cairn = 1
        name = "oracles"
        title = "Oracles"
        outcome = {{ instrument = "PHQ-9" }}
        cohort = {{ arms = [{listed}], planned_patients = 900, largest_clinic = 900 }}
        disclosure = {{ clinics = {clinics} }}
        variables.site = {{ levels = [{sites}] }}
        {extra}
        [[questions]]
        name = "effect"
        kind = "effect"
        epsilon = 1.0
        {more}
        """.encode()
    )
    return build(study.questions[-1], study)


def cohort(n=420, seed=0):
    """A frame of people, unequal arms and sites, an effect that differs by site."""
    rng = np.random.default_rng(seed)
    arm = rng.choice(len(ARMS), n, p=(0.5, 0.2, 0.3))
    site = rng.choice(len(SITES), n, p=(0.6, 0.25, 0.15))
    baseline = np.clip(np.round(rng.normal(14 + 2 * site, 5)), 0, 27)
    change = -2 - arm * (1 + site) - 0.4 * (baseline - 14) + rng.normal(0, 4 + arm, n)
    return pl.DataFrame(
        {
            "patient": [f"synthetic-{i:04d}" for i in range(n)],
            "arm": [ARMS[k] for k in arm],
            "site": [SITES[k] for k in site],
            "baseline": baseline,
            "outcome": np.clip(np.round(baseline + change), 0, 27),
        }
    )


def records(people):
    scores = [
        (row["patient"], time, "PHQ-9", row[name])
        for row in people.iter_rows(named=True)
        for time, name in ((0.0, "baseline"), (8.0, "outcome"))
        if row[name] is not None
    ]
    patients = people.select("patient", "arm", pl.lit(dt.date(2026, 1, 1)).alias("entry"), "site")
    return Records(patients, pl.DataFrame(scores, schema=SCORES, orient="row"))


def total_of(q, people, clinics=1):
    parts = (
        rows.sum(axis=0)
        for k in range(clinics)
        for rows in q.contributions(q.prepare(records(people[k::clinics])), EMPTY)
    )
    return sum(parts, np.zeros(q.shape.length))


def asked(q, people, clinics=1):
    answer = q.estimate(EMPTY, total_of(q, people, clinics), SumNoise(0.0))
    return {e.name: e for e in answer.estimates}, answer
