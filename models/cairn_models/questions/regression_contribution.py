"""What one patient adds to a "regression" question, in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cairn_models.contribution import MIXED, Contribution, Slot, listed, table
from cairn_models.questions.regression_words import Frame
from cairn_models.questions.timed_contribution import LAST_SEEN, WAYS
from cairn_models.regression.clocks import WAYS as ENDINGS
from cairn_models.regression.family import Family
from cairn_models.regression.hazard import Hazard
from cairn_models.regression.intervals import Intervals
from cairn_models.regression.linear import Linear
from cairn_models.regression.logistic import Logistic
from cairn_models.regression.plan import Plan
from cairn_models.shaping import Shaping


def contribution(frame: Frame, family: Family, plan: Plan) -> Contribution:
    """The patient's place among the covariates, with the outcome."""
    groups, outcome = tuple(_groups(plan)), plan.outcome.replace("_", " ")
    of = outcome
    if isinstance(family, Hazard):
        of = f"the hazard of the event ({WAYS[ENDINGS[frame.event].causes[0]]})"
    asked = f"The model {frame.formula}: how {of} goes along with what stands on its right."
    who = "Patients whose records hold the outcome and every covariate" + (
        f", in the arms {listed(plan.arms)}" if plan.arms else ""
    )
    who += ". Everybody else adds zeros."
    cells = "Each person is one of a table of people: own covariates, and "
    match family:
        case Logistic():
            names = (f"without {outcome}", f"with {outcome}")
            plain = Shaping.plain(len(names))
            slots = tuple(table(group, names, plain, family.scale) for group in groups)
            return Contribution(asked, who, f"{cells}the outcome or not.", slots)
        case Hazard():
            own = _intervals(family.intervals, frame)
            slots = tuple(table(group, own, family.shaping, family.scale) for group in groups)
            mixed = f" {MIXED}" if plan.noised else ""
            how = f"{cells}when the course ended, with the event or without.{mixed}"
            return Contribution(asked, who, how, slots)
        case Linear():
            how = (
                "Outcome and covariates, each brought from a public range to −1 … 1, with their "
                "squares and products, stand in the place of the person's own group; zeros "
                "everywhere else."
            )
            slots = tuple(Slot(tuple(_moments(family, plan)), group) for group in groups)
            return Contribution(asked, who, how, slots)
        case _:
            how = "One step of fitting the model to this person's own rows: slopes and curvature."
            return Contribution(asked, who, how)


def _groups(plan: Plan) -> Iterator[str]:
    """Each combination of levels in words; '' where there is one only."""
    levels = {name: c.levels for name, c in plan.covariates.items() if c.levels}
    values = plan.cells.values
    for cell in range(plan.cells.count):
        yield ", ".join(
            f"{name} {own[int(np.atleast_1d(values[name])[cell])]}" for name, own in levels.items()
        )


def _intervals(intervals: Intervals, frame: Frame) -> tuple[str, ...]:
    event = WAYS[ENDINGS[frame.event].causes[0]]
    ways = (event, f"{LAST_SEEN} or ended otherwise") if intervals.otherwise else (event,)
    inside = [f"{way}, {frame.unit} {span}" for span in intervals.labels for way in ways]
    return (*inside, f"without it beyond {frame.unit} {intervals.ends[-1]:g}")


def _moments(family: Linear, plan: Plan) -> Iterator[str]:
    names = (*plan.numbers, plan.outcome)
    yield f"people, each counts {family.coding.count_weight * family.scale:g}"
    yield from names
    first, second = np.triu_indices(len(names), 1)
    yield from (f"{names[i]} × {names[j]}" for i, j in zip(first, second, strict=True))
    yield from (f"1 − {name} squared" for name in names)
