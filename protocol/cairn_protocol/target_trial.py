"""`TargetTrial`: the trial that a study's comparisons of arms emulate, as its file says it.

Where arms begin after time zero, a patient has to stay on the list until then to be in one
(immortal time). A target trial says who could have taken part, from when, and by when an arm must
have begun (Hernán & Robins 2016, Am J Epidemiol 183:758). All of it is public; weeks are
since entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_TRIALS = 12
LONGEST_WEEKS = 520.0

Weeks = Annotated[float, Field(ge=0, le=LONGEST_WEEKS)]
Coefficient = Annotated[float, Field(ge=-100, le=100)]


class Declared(Protocol):
    """What is asked of a study's variable here: its levels, none for a number."""

    @property
    def levels(self) -> tuple[str, ...]:
        """The possible values; empty for a range."""
        ...


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Line(_Part):
    """The log odds of beginning an arm rather than none: a public linear predictor.

    `baseline` is per point of the outcome at the trial's time zero, `week` per week of that time
    since entry. `variables` gives a number's slope, or a coefficient a level (those not named: 0).
    """

    intercept: Coefficient
    baseline: Coefficient = 0.0
    week: Coefficient = 0.0
    variables: dict[str, Coefficient | dict[str, Coefficient]] = {}


class Propensity(_Part):
    """Public coefficients: a line for each arm but the trial's reference, and their source."""

    source: str = Field(min_length=1, max_length=500)
    arms: dict[str, Line] = Field(min_length=1)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that a line names."""
        return tuple(dict.fromkeys(name for line in self.arms.values() for name in line.variables))


class TargetTrial(_Part):
    """Design, time zero, grace period and eligibility. docs/study-file.md has every setting."""

    design: Literal["as_recorded", "landmark", "sequential"]
    starts: tuple[str, ...] = ()
    begins: Literal["started", "offered"] = "started"
    reference: str = ""
    grace: Weeks = 4.0
    trials: tuple[Weeks, ...] = Field(default=(), max_length=MOST_TRIALS)
    not_yet: tuple[str, ...] = ("therapy_started",)
    seen_within: Weeks = 0.0
    baseline_window: tuple[float, float] = (-4.0, 1.0)
    lowest_baseline: float | None = None
    highest_baseline: float | None = None
    counted: float = Field(default=0.9, gt=0, le=1)
    propensity: Propensity | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.design == "as_recorded":
            if extra := sorted(self.model_fields_set - {"design"}):
                raise ValueError(f'design = "as_recorded" has no use for {", ".join(extra)}')
            return self
        if not self.starts:
            raise ValueError("starts is missing: name the arms that begin after entry")
        if len(set(self.starts)) != len(self.starts):
            raise ValueError("starts: name each arm once")
        if self.design == "landmark" and self.trials:
            raise ValueError('trials: a landmark has one trial, from entry; design = "sequential"')
        if self.design == "sequential" and len(self.trials) < 2:
            raise ValueError("trials: name the weeks at which sequential trials begin, two or more")
        gaps = zip(self.trials, self.trials[1:], strict=False)
        if any(later <= week or later - week < self.grace for week, later in gaps):
            raise ValueError("trials: each must begin later than the one before, by grace or more")
        first, last = self.baseline_window
        if not first <= last:
            raise ValueError("baseline_window: its start must not be after its end")
        low, high = self.lowest_baseline, self.highest_baseline
        if low is not None and high is not None and low > high:
            raise ValueError("lowest_baseline must not be above highest_baseline")
        return self

    @property
    def emulates(self) -> bool:
        """Whether anything is emulated: every design but `as_recorded`."""
        return self.design != "as_recorded"

    @property
    def weeks(self) -> tuple[float, ...]:
        """The weeks since entry at which its trials begin."""
        return self.trials or (0.0,)

    def among(self, arms: Sequence[str]) -> str:
        """The arm of those who have not begun another: as set, or the study's first."""
        return self.reference or arms[0]

    def faults(self, arms: Sequence[str], variables: Mapping[str, Declared]) -> list[str]:
        """What does not fit the study's arms and variables; empty where all does."""
        if not self.emulates:
            return []
        if len(arms) < 2:
            return ["target_trial: cohort.arms must name the arms that are compared"]
        faults = []
        reference = self.among(arms)
        if reference not in arms:
            faults.append(f"target_trial.reference: {reference!r} is not in cohort.arms")
        if reference in self.starts:
            faults.append(
                f"target_trial.starts: {reference!r} is the arm of those who do not start"
            )
        if strangers := [arm for arm in self.starts if arm not in arms]:
            faults.append(f"target_trial.starts: not in cohort.arms: {', '.join(strangers)}")
        if self.propensity is not None:
            faults += _misfits(self.propensity, arms, reference, variables)
        return faults


def _misfits(
    propensity: Propensity,
    arms: Sequence[str],
    reference: str,
    variables: Mapping[str, Declared],
) -> list[str]:
    where, faults = "target_trial.propensity", []
    if set(propensity.arms) != set(arms) - {reference}:
        faults.append(f"{where}.arms: give a line for each of cohort.arms but {reference!r}")
    for arm, line in propensity.arms.items():
        for name, given in line.variables.items():
            known = variables.get(name)
            if known is None:
                faults.append(f"{where}.arms.{arm}: the study has no variable {name!r}")
            elif bool(known.levels) != isinstance(given, dict):
                wanted = "a coefficient a level" if known.levels else "one slope"
                faults.append(f"{where}.arms.{arm}.variables.{name}: give {wanted}")
            elif isinstance(given, dict) and not set(given) <= set(known.levels):
                faults.append(f"{where}.arms.{arm}.variables.{name}: a level is not declared")
    return faults
