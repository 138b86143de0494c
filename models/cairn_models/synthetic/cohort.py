"""`generate`: the synthetic records of some clinics, each as one clinic would hold them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.records import ENGAGEMENT, SCORES, Records
from cairn_models.synthetic.course import Course
from cairn_models.synthetic.draws import Draws, Floats
from cairn_models.synthetic.people import COVARIATES, Patients, Site
from cairn_models.synthetic.programme import Use
from cairn_models.synthetic.waiting import Waiting
from cairn_models.synthetic.wearable import wearable_rows
from cairn_models.synthetic.world import World
from cairn_protocol.errors import InputError

TREES = (
    *("oak", "elm", "ash", "birch", "rowan", "alder", "hazel", "maple", "larch", "cedar"),
    *("willow", "linden", "beech", "aspen", "juniper", "yew", "pine", "spruce", "holly", "plane"),
)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Clinic:
    """One simulated clinic before it is written down: who, what they used, how they went."""

    patients: Patients
    use: Use
    course: Course
    waiting: Waiting
    draws: Draws


def clinic_name(number: int) -> str:
    """The made-up name of clinic `number` (from 0): 'oak', 'elm', … 'oak2', …"""
    lap, tree = divmod(number, len(TREES))
    return TREES[tree] + (str(lap + 1) if lap else "")


def simulate(
    world: World, patients: int, *, seed: int, clinic: int, weeks: int, arm: int | None = None
) -> Clinic:
    """Clinic number `clinic` of `seed`; `arm` puts everybody into one arm, on the same draws."""
    stream = np.random.SeedSequence(entropy=seed, spawn_key=(clinic,))
    of_site, of_patients, of_waiting = (np.random.default_rng(s) for s in stream.spawn(3))
    site = Site.of(world, of_site)
    draws = Draws.of(of_patients, patients, weeks)
    who = Patients.of(world, site, draws, arm)
    use = Use.of(world, who, draws)
    course = Course.of(world, site, who, use, draws)
    return Clinic(who, use, course, Waiting.of(world, course.symptoms, of_waiting), draws)


def generate(
    world: World, clinic_sizes: Sequence[int], *, seed: int, weeks: int = 26
) -> list[Records]:
    """Synthetic records of one clinic a size, patients 'synthetic-<tree>-<number>'.

    Week 0 is entry; scores are whole numbers at whole weeks up to and including `weeks`. A
    clinic's records depend on `world`, `seed`, `weeks` and its position only, and its first k
    patients are the same whatever its size.

    Raises:
        InputError: a negative size, seed or length.
    """
    if any(size < 0 for size in clinic_sizes) or seed < 0 or weeks < 1:
        raise InputError(
            "a synthetic cohort cannot be made with these numbers",
            code="synthetic-numbers",
            hint="sizes and the seed are whole numbers from 0, weeks from 1",
        )
    return [
        _records(
            world,
            simulate(world, size, seed=seed, clinic=number, weeks=weeks),
            clinic_name(number),
        )
        for number, size in enumerate(clinic_sizes)
    ]


def _records(world: World, clinic: Clinic, name: str) -> Records:
    count = len(clinic.draws)
    ids = np.array([f"synthetic-{name}-{i + 1:04d}" for i in range(count)], dtype=object)
    return Records(
        _patients(world, clinic, ids),
        _scores(world, clinic, ids),
        _engagement(world, clinic, ids),
        wearable_rows(world, clinic.draws, clinic.course.symptoms, ids),
        "week",
    )


def _patients(world: World, clinic: Clinic, ids: NDArray[np.object_]) -> pl.DataFrame:
    who, draws = clinic.patients, clinic.draws
    day = np.floor(draws.uniform("entry") * world.entry_days).astype(int)
    entry = [world.first_entry + dt.timedelta(days=int(d)) for d in day]
    arms = np.array([a.name for a in world.arms], dtype=object)[who.arm]
    columns = [
        pl.Series("patient", ids, dtype=pl.String),
        pl.Series("arm", arms, dtype=pl.String),
        pl.Series("entry", entry, dtype=pl.Date),
    ]
    for covariate in COVARIATES:
        levels = np.array([n for n, _ in getattr(world.people, covariate)], dtype=object)
        values = levels[who.covariates[covariate]]
        columns.append(pl.Series(covariate, values, dtype=pl.String))
    columns.append(pl.Series("deprivation", who.deprivation, dtype=pl.Float64))
    return pl.DataFrame(columns).sort("patient")


def asked(world: World, clinic: Clinic) -> NDArray[np.bool_]:
    """(n, T): the weeks in which a PHQ-9 is answered while measurement goes on."""
    draws, plan = clinic.draws, world.observation
    times = draws.times
    weekly_share = np.array([a.weekly for a in world.arms])[clinic.patients.arm]
    done = draws.uniform("done")
    weekly = done < plan.weekly_done
    monthly = np.zeros_like(weekly)
    row = np.arange(len(draws))
    for due in range(4, times + 1, 4):
        at = min(due, times - 1)
        off = np.select(
            [draws.uniform("jitter")[:, at] < 0.2, draws.uniform("jitter")[:, at] > 0.8], [-1, 1]
        )
        week = due + off
        hit = (week < times) & (done[:, at] < plan.monthly_done)
        monthly[row[hit], week[hit]] = True
    seen = np.where((draws.uniform("weekly") < weekly_share)[:, None], weekly, monthly)
    seen[:, 0] = True
    return seen & (np.arange(times)[None, :] < clinic.course.lost[:, None])


def _scores(world: World, clinic: Clinic, ids: NDArray[np.object_]) -> pl.DataFrame:
    seen = asked(world, clinic)
    also = clinic.draws.uniform("gad7_too") < world.observation.gad7_too
    also[:, 0] = True
    parts = [
        _long(ids, "PHQ-9", clinic.course.phq9, seen),
        _long(ids, "GAD-7", clinic.course.gad7, seen & also),
    ]
    return _table(parts, "instrument", SCORES)


def _engagement(world: World, clinic: Clinic, ids: NDArray[np.object_]) -> pl.DataFrame:
    use, course, waiting, plan = clinic.use, clinic.course, clinic.waiting, world.programme
    times = clinic.draws.times
    week = np.arange(times)[None, :]
    stopped = course.stop < times
    last = np.minimum(course.stop, use.complete)
    on = (week >= use.start[:, None]) & (week <= last[:, None])
    at_stop = week == course.stop[:, None]
    logins = np.where(at_stop, np.maximum(use.logins, 1), use.logins)
    completed = ~stopped & (use.complete < times)
    belief = plan.credibility_mean + plan.credibility_sd * clinic.patients.credibility
    belief = np.clip(np.round(belief), 0, 10)
    guided = np.array([a.check_ins > 0 for a in world.arms])[clinic.patients.arm]
    bond_week = np.where(guided, use.start + 4, times)
    one = np.ones((len(ids), times))
    week_0 = (week == 0) & use.has_programme[:, None]
    parts = [
        _long(ids, "offered", one, week_0),
        _long(ids, "credibility", one * belief[:, None], week_0),
        _long(ids, "started", one, week == use.start[:, None]),
        _long(ids, "stopped", one, at_stop),
        _long(ids, "completed", one, (week == use.complete[:, None]) & completed[:, None]),
        _long(ids, "alliance", one * use.alliance[:, None], (week == bond_week[:, None]) & on),
        _long(ids, "logins", logins, on & (logins > 0)),
        _long(ids, "modules", use.modules, on & (use.modules > 0)),
        _long(ids, "check_ins", use.check_ins, on & (use.check_ins > 0)),
        _long(ids, "minutes", use.minutes, on & (use.minutes > 0)),
        _long(ids, "technical_errors", use.errors, on & (use.errors > 0)),
        _long(ids, "therapy_started", one, week == waiting.therapy[:, None]),
        _long(ids, "stepped_up", one, week == waiting.stepped_up[:, None]),
    ]
    return _table(parts, "measure", ENGAGEMENT)


def _long(
    ids: NDArray[np.object_], name: str, values: Floats, where: NDArray[np.bool_]
) -> tuple[str, NDArray[np.object_], Rows, Floats]:
    row, week = np.nonzero(where)
    return name, ids[row], week, values[row, week]


def _table(
    parts: list[tuple[str, NDArray[np.object_], Rows, Floats]],
    kind: str,
    schema: dict[str, type[pl.DataType]],
) -> pl.DataFrame:
    frames = [
        pl.DataFrame(
            {
                "patient": pl.Series(patient, dtype=pl.String),
                "time": pl.Series(week, dtype=pl.Float64),
                kind: pl.repeat(name, len(week), dtype=pl.String, eager=True),
                "value": pl.Series(value, dtype=pl.Float64),
            },
            schema=schema,
        )
        for name, patient, week, value in parts
    ]
    return pl.concat(frames).sort("patient", "time", kind)
