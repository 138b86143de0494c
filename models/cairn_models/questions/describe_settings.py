"""`DescribeSettings`: what a study may set for a "describe" question; all times are weeks."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cairn_models.questions.base import Settings
from cairn_models.questions.windows import check_baseline

MOST_WEEKS: Final = 8
MOST_USE_WEEKS: Final = 4
Part = Literal[
    "score",
    "funnel",
    "variables",
    "quartiles",
    "course",
    "outcomes",
    "programme",
    "waits",
    "minutes",
]
PARTS: Final[tuple[Part, ...]] = (
    "score",
    "funnel",
    "variables",
    "quartiles",
    "course",
    "outcomes",
    "programme",
    "waits",
    "minutes",
)
USUAL: Final[tuple[Part, ...]] = ("score", "funnel", "variables", "quartiles")
AfterStart = Annotated[float, Field(gt=0, le=520)]


class DescribeSettings(Settings):
    """Settings of a "describe" question; times are weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    parts: tuple[Part, ...] = ()
    shares: dict[Part, float] | None = None
    weeks: tuple[float, ...] = Field(default=(4, 8), min_length=1, max_length=MOST_WEEKS)
    window: float = Field(default=2.0, ge=0)
    baseline_window: tuple[float, float] = (-4.0, 1.0)
    variables: tuple[str, ...] = ()
    programme_arms: tuple[str, ...] = ()
    programme_weeks: tuple[AfterStart, ...] = Field(
        default=(2, 4), min_length=1, max_length=MOST_USE_WEEKS
    )
    active_weeks: int = Field(default=12, ge=2, le=104)
    longest_wait: int = Field(default=24, ge=4, le=260)
    most_minutes: float = Field(default=300.0, gt=0, le=1e5)
    scales: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    reference: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("weeks", "programme_weeks"):
            weeks = getattr(self, name)
            if any(b <= a for a, b in pairwise(weeks)):
                raise ValueError(f"{name}: each must be later than the one before")
        check_baseline(
            self.baseline_window, before=self.weeks[0] - self.window, what="the first week − window"
        )
        if any(share <= 0 for share in (self.shares or {}).values()):
            raise ValueError("shares: each must be above 0")
        for name in ("parts", "variables", "programme_arms", "scales"):
            named = getattr(self, name)
            if len(set(named)) != len(named):
                raise ValueError(f"{name}: name each once")
        return self
