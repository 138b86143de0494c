"""What a "regression" answer says in plain words: title, sentences and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cairn_models.answers import Estimate
from cairn_models.formula import TIME, Column, Design
from cairn_models.questions.effect_answer import PEOPLE
from cairn_models.regression.covariates import ARM, BASELINE
from cairn_models.regression.links import LinkName
from cairn_models.reliable_change import OUTCOMES

IMMORTAL: Final = (
    ", and an arm that starts after listing holds only people who were still there to start "
    "(immortal time), which flatters it."
)
ASSOCIATION: Final = "an association, adjusted for nothing but the terms of the formula"
HAVING: Final = {"started": "started a programme", "completed": "completed the programme"}
EVENTS: Final = {
    "measurement": "stopping to be assessed",
    "programme": "leaving the programme before its end",
    "deterioration": "a first reliable deterioration",
    "step_up": "moving to more intensive care",
}
FAMILIES: Final = {
    "logistic": "Logistic regression",
    "linear": "Linear regression",
    "hazard": "Discrete-time hazard model",
}


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with."""

    question: str
    family: str
    link: LinkName
    formula: str
    outcome: str
    names: tuple[str, ...]
    design: Design
    arms: tuple[str, ...]
    instrument: str
    week: float
    window: float
    scales: tuple[str, ...]
    event: str
    unit: str
    robust: bool
    rounds: int
    limit: float | None
    randomised: bool
    emulated: bool
    synthetic: bool
    fewest: int

    @property
    def ratio(self) -> str:
        """What exp(coefficient) is called; '' where it is nothing."""
        if self.family == "linear":
            return ""
        return "hazard ratio" if self.link == "cloglog" else "odds ratio"

    @property
    def unit_of_outcome(self) -> str:
        """The coefficients' unit."""
        if self.family == "linear":
            return f"{self.instrument} points"
        return "log hazard ratio" if self.link == "cloglog" else "log odds ratio"

    @property
    def what(self) -> str:
        """The outcome in words, after 'the odds of' or 'mean'."""
        if self.family == "hazard":
            return EVENTS[self.event]
        if self.family == "linear":
            change = "change in " if self.outcome == "change" else ""
            return f"{change}{self.instrument} at week {self.week:g}"
        if self.outcome in OUTCOMES:
            return f"having {OUTCOMES[self.outcome].phrase} by week {self.week:g}"
        return f"having {HAVING[self.outcome]}"

    def alike(self, own: str) -> str:
        """Whom the coefficient of the variable `own` compares: people alike in all others."""
        others = [v for v in self.design.variables if v not in (own, TIME)]
        if not others:
            return ""
        return f"Among people alike in {' and '.join(o.replace('_', ' ') for o in others)}, "


def title_of(frame: Frame) -> str:
    """The answer's title."""
    return f"{FAMILIES[frame.family]}: {frame.formula}" + (
        "" if frame.randomised else " (association)"
    )


def sentences(
    frame: Frame, shown: Mapping[str, Estimate], risks: Mapping[int, Estimate]
) -> Iterator[str]:
    """One or two sentences a finding; `shown` are the ratios, or the coefficients if linear."""
    told = [e for e in shown.values() if e.value is not None]
    if not told:
        why = next((e.suppressed for e in shown.values()), "it has no term")
        yield f"The regression {frame.formula} tells nothing: {why}."
        return
    for name, column in zip(frame.names, frame.design.columns, strict=True):
        if name in shown and len(column.parts) == 1 and column.parts[0][0] != TIME:
            yield _finding(frame, column, shown[name])
    for arm, risk in risks.items():
        if risk.value is not None:
            yield _risk(frame, arm, risk)
    if not frame.randomised:
        yield f"Each is {ASSOCIATION}."
    if any(len(c.parts) > 1 for c in frame.design.columns):
        yield (
            "The formula has interactions: a term that takes part in one is told where the others "
            "are at their first level, or at 0."
        )


def _finding(frame: Frame, column: Column, estimate: Estimate) -> str:
    whom = _groups(frame, column)
    if estimate.value is None:
        return f"Nothing can be said {whom}: {estimate.suppressed}."
    ends = f"{_in(frame, estimate.low)} to {_in(frame, estimate.high)}"
    span = f"(95 % interval {ends}{noise_in_words(estimate)})"
    said = (
        f"mean {frame.what} was {abs(estimate.value):.2f} points "
        f"{'higher' if estimate.value >= 0 else 'lower'} {whom} {span}"
        if frame.family == "linear"
        else f"the {_odds(frame)} of {frame.what} were {_in(frame, estimate.value)} times as high "
        f"{whom} {span}"
    )
    alike = frame.alike(column.parts[0][0])
    said = f"{alike}{said}." if alike else f"{said[0].upper()}{said[1:]}."
    none = 0.0 if frame.family == "linear" else 1.0
    low, high = estimate.low, estimate.high
    if low is not None and high is not None and low <= none <= high:
        said += " The interval includes no difference at all."
    return said


def _risk(frame: Frame, arm: int, risk: Estimate) -> str:
    value = risk.value or 0.0
    side, more = (-1.0, "fewer") if value < 0 else (1.0, "more")
    low, high = sorted(100 * side * end for end in (risk.low or 0.0, risk.high or 0.0))
    return (
        f"With everybody in the table among {_people(frame, arm)} instead of {_people(frame, 0)}, "
        f"the model says, {100 * abs(value):.1f} percentage points {more} "
        f"would have {frame.what.removeprefix('having ')} (95 % interval {_minus(low)} to "
        f"{_minus(high)}{noise_in_words(risk)})."
    )


def _groups(frame: Frame, column: Column) -> str:
    """'for … as for …', or what one more of a number does."""
    ((variable, level),) = column.parts
    as_for = "than for" if frame.family == "linear" else "as for"
    if level is None:
        each = "point at baseline" if variable == BASELINE else f"unit of {variable}"
        return f"for each further {each.replace('_', ' ')}"
    if variable == ARM:
        return f"for {_people(frame, level)} {as_for} {_people(frame, 0)}"
    one, _, other = column.label.partition(": ")[2].partition(" against ")
    name = variable.replace("_", " ")
    return f"for {name} {one} {as_for} {name} {other}" if other else f"for {name} {one}"


def _people(frame: Frame, arm: int) -> str:
    return PEOPLE.get(frame.arms[arm], f"people in arm “{frame.arms[arm]}”")


def _odds(frame: Frame) -> str:
    return "hazards" if frame.link == "cloglog" else "odds"


def _in(frame: Frame, value: float | None) -> str:
    if value is None:
        return ""
    if frame.family == "linear":
        return _minus(value, 2)
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _minus(value: float, digits: int = 1) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def noise_in_words(estimate: Estimate) -> str:
    """', 5 % of its variance privacy noise', or nothing."""
    share = estimate.noise_share or 0.0
    if share <= 0.0:
        return ""
    return f", {max(100 * share, 1):.0f} % of its variance privacy noise"


def notes(frame: Frame, *, noised: bool, hidden: bool) -> Iterator[str]:
    """What a reader must know beside the numbers."""
    if frame.synthetic:
        yield "Synthetic data: these are not people."
    yield _estimand(frame)
    if not frame.randomised:
        yield (
            f"This is {ASSOCIATION}, unadjusted for confounding by anything else: people who "
            "differ in what the formula does not name may have been in different groups"
            + ("." if frame.emulated else IMMORTAL)
        )
    yield (
        "People with a covariate or the outcome missing, or outside its declared levels or range, "
        "are left out."
    )
    if noised:
        yield "Standard errors and intervals count the privacy noise in every sum."
    if frame.robust:
        yield "Standard errors do not assume one variance for all (HC1)."
    if hidden:
        yield (
            f"A coefficient is told from {frame.fewest} people on in its group and in that which "
            "it is compared with, by noised counts, and only where people with and without the "
            "outcome can be told from the noise; whoever is in a group that cannot is left out."
        )


def _estimand(frame: Frame) -> str:
    first = "The first level of each variable is the reference; names are those of statsmodels."
    if frame.family == "linear":
        cut = (
            f", cut at ±{frame.limit:g} points" if frame.limit and frame.outcome == "change" else ""
        )
        return f"Ordinary least squares of {frame.what} (± {frame.window:g}){cut}. {first}"
    if frame.family == "hazard":
        kind = "complementary log–log" if frame.link == "cloglog" else "logit"
        return (
            f"Discrete-time hazard ({kind} link) of {frame.what} in each interval of "
            f"{frame.unit}s, among people still there; whoever ended otherwise leaves the risk "
            f"set. {first}"
        )
    by = f", by reliable change of {' and '.join(frame.scales)}" if frame.scales else ""
    return f"Logistic regression of {frame.what}{by}. {first}"
