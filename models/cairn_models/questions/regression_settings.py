"""`RegressionSettings`: what a study may say in a "regression" question."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cairn_models.endings import LONGEST
from cairn_models.questions.base import Settings
from cairn_models.questions.windows import check_baseline
from cairn_models.regression.clocks import EventName

HAZARD: Final = "hazard"
MOST_INTERVALS: Final = 12


class RegressionSettings(Settings):
    """Settings of a "regression" question; `ends` in the study's unit, other times in weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    family: Literal["logistic", "linear", "hazard"]
    formula: str
    cut: dict[str, tuple[float, ...]] = Field(default={}, max_length=20)
    week: float = Field(default=8.0, gt=0)
    window: float = Field(default=2.0, ge=0, le=LONGEST / 10)
    baseline_window: tuple[float, float] = (-4.0, 1.0)
    scales: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    randomised: bool = False
    limit: float | None = Field(default=None, gt=0)
    residual_sd: float | None = Field(default=None, gt=0)
    standard_errors: Literal["model", "robust"] = "model"
    event: EventName = "measurement"
    ends: tuple[float, ...] = Field(
        default=(2, 4, 6, 8, 12), min_length=1, max_length=MOST_INTERVALS
    )
    link: Literal["logit", "cloglog"] = "logit"
    typical: float = Field(default=0.7, ge=0.05, le=0.98)
    events_per_variable: float = Field(default=10.0, ge=5, le=100)
    rounds: int = Field(default=10, ge=2, le=30)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        of_scores = self.family != HAZARD
        check_baseline(self.baseline_window, before=self.week - self.window if of_scores else None)
        if any(b - a < 1e-3 for a, b in zip((0.0, *self.ends), self.ends, strict=False)):
            raise ValueError("ends: each must be later than the one before")
        if self.ends[-1] > LONGEST / 10:
            raise ValueError("ends: the last is too late")
        if self.standard_errors == "robust" and self.family != "linear":
            raise ValueError("standard_errors: robust ones are those of a linear model")
        return self
