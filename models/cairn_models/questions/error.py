"""`Error`: how far a trained model's predictions are off, for patients who never trained it.

One charged round. Each held-out patient sends the vector of `trajectory.error_sums`: mean absolute
errors by horizon of the model, as differences to the model's prior and to the last value carried
forward. So the report can say what the data added beyond the prior, which no training curve shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from cairn_models.answers import Answer, Bars, Cell, Estimate, Figure, Forest, Table
from cairn_models.baselines import last_value
from cairn_models.contribution import Contribution
from cairn_models.questions.base import (
    Expected,
    Public,
    Question,
    Released,
    Settings,
    Shape,
    SumNoise,
    Vector,
)
from cairn_models.questions.held_out import HeldOut, split_of_model
from cairn_models.questions.judged_contribution import of_errors
from cairn_models.questions.trajectory import known_horizons
from cairn_models.records import Records
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.error_sums import ErrorSums, Row, Value
from cairn_models.trajectory.features import Weekly, weekly
from cairn_models.trajectory.network import check_places, parameter_count, predict
from cairn_models.trajectory.targets import main_targets
from cairn_protocol.errors import OurFault
from cairn_protocol.study import QuestionSpec, Study

BLOCK: Final = 256  # patients
NORMAL_95: Final = 1.959964
BETTER: Final = "left"  # a negative difference: the model errs less
PREDICTORS: Final = {
    "model": "trained model",
    "prior": "its prior",
    "last": "last value carried forward",
}


class ErrorSettings(Settings):
    """Settings of an `error` question.

    Args:
        model: name of the `trajectory` question whose model is judged; it must stand before.
        held_out: must be that question's own; it is taken from there if not given.
        horizons: weeks ahead to judge; fewer are judged more precisely.
    """

    model: str
    held_out: HeldOut | None = None
    horizons: tuple[int, ...] = HORIZONS

    @field_validator("horizons")
    @classmethod
    def _known(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return known_horizons(value)


class Error(Question[Weekly]):
    """Kind "error". The public state is the model's parameters followed by the prior's."""

    kind = "error"
    category = "evaluate"
    settings_model = ErrorSettings
    settings: ErrorSettings

    def __init__(self, spec: QuestionSpec, study: Study) -> None:
        super().__init__(spec, study)
        asked = self.settings
        self.split = split_of_model(spec.name, asked.model, asked.held_out, study)
        span = self.instrument.highest - self.instrument.lowest
        self.sums = ErrorSums(self.settings.horizons, span)

    @property
    def shape(self) -> Shape:
        """Four numbers a horizon and the spread, in one round."""
        return Shape(self.sums.length, self.sums.bound, rounds=1)

    @property
    def contribution(self) -> Contribution:
        """Mean errors by horizon."""
        return of_errors(self.settings.model, self.settings.horizons, self.split)

    @property
    def builds_on(self) -> tuple[str, ...]:
        """The question that trained the model."""
        return (self.settings.model,)

    @property
    def state_length(self) -> int:
        """Two sets of parameters."""
        return 2 * parameter_count()

    def start(self, released: Released) -> Public:
        """(2d,) float32: the trained parameters, then the prior's."""
        parts = [released.get(f"{self.settings.model}/{k}") for k in ("parameters", "prior")]
        d = parameter_count()
        arrays = [np.asarray(p, dtype=np.float32) for p in parts if p is not None]
        if [a.shape for a in arrays] != [(d,), (d,)] or not np.isfinite(arrays).all():
            raise OurFault(
                f"question {self.name!r} was asked before {self.settings.model!r} released a model",
                code="error-order",
                why="its parameters and its prior are needed, finite and of the network's size",
            )
        return np.concatenate(arrays)

    def prepare(self, records: Records) -> Weekly:
        """The held-out patients' weeks."""
        check_places(BLOCK)
        weeks = weekly(records, self.instrument)
        return weeks.take(self.split.judging(weeks.patients))

    def counts_at(self, clinic: str) -> bool:
        """Where somebody was held out."""
        return self.split.judges_at(clinic)

    def contributions(self, prepared: Weekly, public: Public) -> Iterator[Vector]:
        """(block, 4 H + 1) vectors, each of norm ≤ C."""
        d = parameter_count()
        for at in range(0, len(prepared), BLOCK):
            some = prepared.take(range(at, min(at + BLOCK, len(prepared))))
            guesses = (
                predict(public[:d], some.features, BLOCK).quantile(0.5),
                last_value(some),
                predict(public[d:], some.features, BLOCK).quantile(0.5),
            )
            target, known = main_targets(some, self.settings.horizons)
            model, last, prior = (self._mean_error(guess, target, known) for guess in guesses)
            asked = [HORIZONS.index(h) for h in self.settings.horizons]
            yield self.sums.encode(model, last, prior, np.asarray(known.any(axis=1))[:, asked])

    def _mean_error(
        self, guess: NDArray[np.float32], target: NDArray[np.float32], known: NDArray[np.bool_]
    ) -> Vector:
        """(N, asked H) mean absolute error in points over each patient's own pairs."""
        asked = [HORIZONS.index(h) for h in self.settings.horizons]
        gap = np.where(known, np.abs(guess.astype(np.float64) - target), 0.0)[:, :, asked]
        pairs = known[:, :, asked].sum(axis=1)
        return np.asarray(self.sums.span * gap.sum(axis=1) / np.maximum(pairs, 1))

    def expected(self, noise: SumNoise) -> tuple[Expected, ...]:
        """What the model gains on the last value and on its prior, over all its horizons.

        Every planned held-out patient counts at each horizon, and errors vary as on the synthetic
        worlds from which the scales of `error_sums` come.
        """
        held_out = self.study.cohort.planned_patients * self.split.share
        total = self.sums.planned(held_out)
        row = self.sums.decode(total, noise.variance, fewest=0)[-1]
        estimates = _estimates(row, f"{self.instrument.name} points")
        return tuple(
            Expected(
                estimates[key].name,
                estimates[key].label,
                estimates[key].unit,
                sampling=float(np.sqrt(value.sampling)),
                noise=float(np.sqrt(value.noise)),
            )
            for key, value in (("minus_last", row.minus_last), ("minus_prior", row.minus_prior))
        )

    def estimate(self, public: Public, total: Vector, noise: SumNoise) -> Answer:
        """Errors by horizon of model, prior and last value, with intervals that include noise."""
        rows = self.sums.decode(np.asarray(total), noise.variance, self.study.disclosure.patients)
        unit = f"{self.instrument.name} points"
        found = {row.horizon: _estimates(row, unit) for row in rows}
        flat = tuple(e for by_name in found.values() for e in by_name.values())
        title = "Error of predictions for patients who never trained the model"
        return Answer(
            question=self.name,
            kind=self.kind,
            title=title,
            sentences=self._sentences(rows, unit),
            estimates=flat,
            tables=(_table(rows, unit, title),),
            figures=_figures(found, unit, title),
            notes=(
                f"Mean absolute error in {unit}; lower is better. Each held-out patient counts "
                f"once per horizon; patients whose errors are extreme count for less, by a public "
                f"rule (vector norm {self.sums.bound:.2f}), so errors read some 2 to 6 % low.",
                "The prior was pre-trained on synthetic data or is the last value carried forward; "
                "what these clinics' data added is the difference between model and prior.",
                f"Held out from training: {self.split.words}. "
                "Intervals are 95 % and include the privacy noise.",
                "For research only: not a statement about any person.",
            ),
        )

    def _sentences(self, rows: tuple[Row, ...], unit: str) -> tuple[str, ...]:
        best = next((row for row in reversed(rows) if row.usable), None)
        if best is None:
            return ("Too few held-out patients answered to tell how far predictions are off.",)
        where = _label(best.horizon)
        against = (
            _verdict(best.minus_last, "the last value carried forward", unit),
            _verdict(best.minus_prior, "its prior", unit),
        )
        low, high = _interval(best.model)
        return (
            f"{where[0].upper()}{where[1:]}, the model's mean absolute error is "
            f"{best.model.value:.2f} {unit} (95 % interval {low:.2f} to {high:.2f}).",
            *against,
        )


def _verdict(difference: Value, against: str, unit: str) -> str:
    low, high = _interval(difference)
    if high < 0:
        gain = f"{-difference.value:.2f} {unit} (95 % interval {-high:.2f} to {-low:.2f})"
        return f"That is less than {against}, by {gain}."
    if low > 0:
        loss = f"{difference.value:.2f} {unit} (95 % interval {low:.2f} to {high:.2f})"
        return f"That is more than {against}, by {loss}; the simpler prediction is the better one."
    numbers = f"{_signed(difference.value)} {unit}"
    interval = f"(95 % interval {_signed(low)} to {_signed(high)})"
    return f"It cannot be told apart from {against}: {numbers} {interval}."


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _interval(value: Value) -> tuple[float, float]:
    half = NORMAL_95 * float(np.sqrt(value.variance))
    return value.value - half, value.value + half


def _label(horizon: int | None) -> str:
    if horizon is None:
        return "over all horizons"
    return f"{horizon} week{'s' if horizon > 1 else ''} ahead"


def _estimates(row: Row, unit: str) -> dict[str, Estimate]:
    at = "all" if row.horizon is None else f"week{row.horizon}"
    values = {
        **{f"mae_{key}": (getattr(row, key), words) for key, words in PREDICTORS.items()},
        "minus_last": (row.minus_last, "model less last value carried forward"),
        "minus_prior": (row.minus_prior, "model less its prior"),
    }
    return {
        key: _estimate(f"{key}_{at}", f"{words}, {_label(row.horizon)}", value, row, unit)
        for key, (value, words) in values.items()
    }


def _estimate(name: str, label: str, value: Value, row: Row, unit: str) -> Estimate:
    if not row.usable:
        return Estimate(name, label, None, unit=unit, suppressed="too few patients (noised count)")
    low, high = _interval(value)
    share = value.noise / value.variance if value.variance > 0 else 0.0
    return Estimate(
        name,
        label,
        value.value,
        low,
        high,
        float(np.sqrt(value.variance)),
        share,
        unit,
        count=row.count,
    )


def _table(rows: tuple[Row, ...], unit: str, title: str) -> Table:
    def words(value: Value, usable: bool) -> Cell:
        if not usable:
            return "suppressed"
        low, high = _interval(value)
        return f"{value.value:.2f} ({low:.2f} to {high:.2f})"

    return Table(
        title,
        ("horizon", *PREDICTORS.values(), "model less last value", "model less prior"),
        tuple(
            (
                _label(row.horizon),
                *(words(getattr(row, key), row.usable) for key in PREDICTORS),
                words(row.minus_last, row.usable),
                words(row.minus_prior, row.usable),
            )
            for row in rows
        ),
        note=f"mean absolute error, {unit}, with 95 % intervals; lower is better",
    )


def _figures(
    found: dict[int | None, dict[str, Estimate]], unit: str, title: str
) -> tuple[Figure, ...]:
    horizons = [h for h in found if h is not None]
    return (
        Bars(
            title,
            "weeks ahead",
            f"mean absolute error, {unit} (lower is better)",
            tuple(str(h) for h in horizons),
            {
                words: tuple(found[h][f"mae_{key}"] for h in horizons)
                for key, words in PREDICTORS.items()
            },
        ),
        Forest(
            "What the model gains",
            f"difference in mean absolute error, {unit}",
            tuple(found[h][key] for key in ("minus_last", "minus_prior") for h in found),
            better=BETTER,
        ),
    )
