"""Who the patients are: arms, variables, small groups, consent, and what approved studies need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from cairn_client.readers import Import
from cairn_models.records import PATIENT_COLUMNS, Records
from cairn_protocol.study import Study

SMALL: Final = 10  # domain.md, 'Disclosure'
SHOWN_LEVEL: Final = 3  # a word that fewer share could be a name; it is counted, not shown
UNKNOWN: Final = "not known"


@dataclass(frozen=True)
class Group:
    """A level of the arm or of a variable, and how many patients have it."""

    of: str
    level: str
    patients: int

    @property
    def small(self) -> bool:
        """Whether it is below the size under which nothing is released."""
        return 0 < self.patients < SMALL


@dataclass(frozen=True)
class NumberFacts:
    """A variable that is a number."""

    name: str
    known: int
    quartiles: tuple[float, float, float] | None
    odd: int  # an age below 0 or above 120


@dataclass(frozen=True)
class StudyFit:
    """What an approved study finds here, and what stands in its way."""

    name: str
    title: str
    inside: int
    with_outcome: int
    faults: tuple[str, ...]


def groups(records: Records) -> tuple[Group, ...]:
    """Arms first, then every variable of words; rare words are put together."""
    found: list[Group] = []
    people = records.patients
    words = [n for n, kind in people.schema.items() if kind == pl.String and n != "patient"]
    for name in words:
        counts = people[name].value_counts().sort(["count", name], descending=[True, False])
        shown = counts.filter(pl.col(name).is_not_null() & (pl.col("count") >= SHOWN_LEVEL))
        found += [Group(name, level, n) for level, n in shown.rows()]
        rare = counts.filter(pl.col(name).is_not_null() & (pl.col("count") < SHOWN_LEVEL))
        if rare.height:
            each = f"words of fewer than {SHOWN_LEVEL} patients each ({rare.height})"
            found.append(Group(name, each, int(rare["count"].sum())))
        if nulls := people[name].null_count():
            found.append(Group(name, UNKNOWN, nulls))
    return tuple(found)


def numbers(records: Records) -> tuple[NumberFacts, ...]:
    """Every variable that is a number."""
    found = []
    for name, kind in records.patients.schema.items():
        if kind != pl.Float64 or name in PATIENT_COLUMNS:
            continue
        values = records.patients[name].drop_nulls()
        odd = int((~values.is_between(0, 120)).sum()) if name == "age" else 0
        three = [values.quantile(q, "linear") for q in (0.25, 0.5, 0.75)] if values.len() else []
        quartiles = (three[0] or 0.0, three[1] or 0.0, three[2] or 0.0) if three else None
        found.append(NumberFacts(name, values.len(), quartiles, odd))
    return tuple(found)


def consent_counts(read: Import) -> Mapping[str, int]:
    """Why patients are left out → how many."""
    prefix = "patients left out: "
    return {k.removeprefix(prefix): n for k, n in read.tallies.items() if k.startswith(prefix)}


def study_fits(
    read: Import,
    studies: Sequence[Study],
    read_for: Callable[[Study], Import | None] | None = None,
) -> tuple[StudyFit, ...]:
    """How the clinic's records meet what each study asks for.

    Args:
        read: without any study's own instruments.
        read_for: with those of one study; None, or where it gives None: they were not read.
    """
    reads = [None if read_for is None else read_for(study) for study in studies]
    return tuple(
        _fit((own or read).records, study, whole=own is not None or not study.instruments)
        for study, own in zip(studies, reads, strict=True)
    )


def _fit(records: Records, study: Study, *, whole: bool) -> StudyFit:
    """How `records` meet it; `whole`: the scores of its own instruments are among them."""
    cohort = study.cohort
    windowed = cohort.entry_from is not None or cohort.entry_until is not None
    people = records.patients
    inside = records.entered(cohort.entry_from, cohort.entry_until)
    faults = []
    undated = people["entry"].null_count()
    if windowed and people.height and undated == people.height:
        faults.append(
            "the study has a window of entry and no patient has a date: map patients.entry, "
            "or nobody here is in the study"
        )
    elif windowed and undated:
        faults.append(f"{undated} patients have no date of entry and are not in the study")
    outcome = inside.scores.filter(pl.col("instrument") == study.outcome.instrument)
    scored = outcome["patient"].n_unique()
    if not whole and study.outcome.instrument in {i.name for i in study.instruments}:
        faults.append(f"scores of {study.outcome.instrument} are read when its first run is opened")
    elif len(inside) and not scored:
        faults.append(f"nobody has a score of {study.outcome.instrument}")
    known = set(people["arm"].drop_nulls().to_list())
    absent = [arm for arm in cohort.arms if arm not in known]
    if absent and len(people):
        faults.append(f"nobody is in {', '.join(absent)}; see [patients.arms]")
    return StudyFit(study.name, study.title, len(inside), scored, tuple(faults))
