"""`EffectSettings`: what a study may set of an "effect" question, and the pairs it compares."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cairn_models.arm_effects import Pair
from cairn_models.questions.arms import Refusal
from cairn_models.questions.base import Settings
from cairn_models.questions.unanswerable import names_a_place
from cairn_models.questions.windows import check_baseline
from cairn_protocol.study import QuestionSpec, Study

NOTHING: Final = "none"
BASELINE: Final = "baseline"
Contrasts = Literal["reference", "all"] | tuple[tuple[str, str], ...]


class BaselineModel(BaseModel):
    """The public line: predicted change in points = `intercept` + `slope` × baseline."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    intercept: float
    slope: float = Field(ge=-10.0, le=10.0)


class EffectSettings(Settings):
    """Settings of an "effect" question; points are the outcome instrument's, times are weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    week: float = Field(default=8.0, gt=0)
    window: float = Field(default=2.0, ge=0)
    baseline_window: tuple[float, float] = (-4.0, 1.0)
    arms: tuple[str, ...] = ()
    reference: str = ""
    contrasts: Contrasts = "reference"
    randomised: bool = False
    strata: str = ""
    adjust: str = Field(default=BASELINE, min_length=1)
    winsorise: float | None = Field(default=None, gt=0, le=1000)
    baseline_model: BaselineModel | None = None
    typical_baseline: float | None = None
    residual_sd: float | None = Field(default=None, gt=0)
    standardise_by: float | None = Field(default=None, gt=0)
    margin: float | None = Field(default=None, gt=0)
    count_weight: float = Field(default=0.5, ge=0.1, le=2.0)

    @field_validator("contrasts", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        pairs = isinstance(value, (list, tuple)) and all(
            isinstance(pair, (list, tuple))
            and len(pair) == 2
            and all(isinstance(arm, str) for arm in pair)
            for pair in value
        )
        if value in ("reference", "all") or (pairs and value):
            return value
        raise ValueError('give "reference", "all" or pairs of arms: [["one arm", "another"], ...]')

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        check_baseline(self.baseline_window, before=self.week - self.window)
        if self.baseline_model is not None and self.adjust != BASELINE:
            raise ValueError(f'baseline_model: it is what adjust = "{BASELINE}" uses; drop one')
        if self.strata and not self.randomised:
            raise ValueError(
                "strata: they are those within which people were randomised; set randomised = true"
            )
        return self


def compared(
    asked: EffectSettings, arms: tuple[str, ...], reference: str, refusal: Refusal
) -> tuple[Pair, ...]:
    """The pairs to compare, each as the place of one arm and of the arm it is compared with.

    Raises:
        InputError: made by `refusal`: a pair names an arm that is not compared, one arm twice, or
            the arms of an earlier pair.
    """
    order = (reference, *(arm for arm in arms if arm != reference))
    if asked.contrasts == "reference":
        named = tuple((arm, reference) for arm in order[1:])
    elif asked.contrasts == "all":
        named = tuple((late, early) for early, late in combinations(order, 2))
    else:
        named = asked.contrasts
    for pair in named:
        if strangers := [arm for arm in pair if arm not in arms]:
            raise refusal(
                f"contrasts: {strangers[0]!r} is not one of the arms", f"one of: {', '.join(arms)}"
            )
        if pair[0] == pair[1]:
            raise refusal(f"contrasts: {pair[0]!r} is compared with itself", "name two arms")
    if len({frozenset(pair) for pair in named}) < len(named):
        raise refusal("contrasts: a pair of arms is named twice", "name each pair once")
    return tuple((arms.index(one), arms.index(other)) for one, other in named)


def levels_of_strata(asked: EffectSettings, study: Study, refusal: Refusal) -> tuple[str, ...]:
    """The levels of the variable `strata`; one nameless level where nobody is divided.

    Raises:
        InputError: made by `refusal`: the study has no such variable with levels, or it names
            clinics and has fewer of them than a sum needs.
    """
    if not asked.strata:
        return ("",)
    known = [name for name, v in study.variables.items() if len(v.levels) > 1]
    if asked.strata not in known:
        raise refusal(
            f"strata: the study has no variable {asked.strata!r} with two or more levels",
            f"it has: {', '.join(known)}"
            if known
            else f"declare [variables.{asked.strata}] levels = [...]",
        )
    levels = study.variables[asked.strata].levels
    if len(levels) < (fewest := fewest_strata(asked, study)):
        raise refusal(
            f"strata: {asked.strata!r} names clinics, and it has {len(levels)} levels; "
            f"{fewest} are needed, as in any sum",
            "leave strata out, or list all clinics that randomised; a variable that is something "
            "else needs another name",
        )
    return levels


def fewest_strata(asked: EffectSettings, study: Study) -> int:
    """From how many strata on anything is told: the least of clinics in a sum, if they are such."""
    return study.disclosure.clinics if study.noised and names_a_place(asked.strata) else 0


def model_before(
    asked: EffectSettings, spec: QuestionSpec, study: Study, last_week: float, refusal: Refusal
) -> str:
    """The name of the earlier `trajectory` question that predicts change; empty where none does.

    Raises:
        InputError: made by `refusal`: no such question stands before this one, or its network
            does not reach the week.
    """
    if asked.adjust in (NOTHING, BASELINE):
        return ""
    models = []
    for earlier in study.questions:
        if earlier.name == spec.name:
            break
        models += [earlier.name] if earlier.kind == "trajectory" else []
    if asked.adjust not in models:
        raise refusal(
            f"adjust: no trajectory question {asked.adjust!r} stands before this one",
            f'"{BASELINE}", "{NOTHING}"'
            + "".join(f', "{name}"' for name in models)
            + "; or let that question stand above",
        )
    if asked.week > last_week:
        raise refusal(
            f"adjust: {asked.adjust!r} foretells no further than week {last_week:g}",
            f'an earlier week, or adjust = "{BASELINE}"',
        )
    return asked.adjust
