"""The answer to an "error" question: errors by horizon and by the weeks they begin in, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from cairn_models.answers import Answer, Bars, Cell, Estimate, Figure, Forest, Table
from cairn_models.trajectory.columns import WEEKS
from cairn_models.trajectory.error_sums import Row, Value

KIND: Final = "error"
NORMAL_95: Final = 1.959964
BETTER: Final = "left"  # a negative difference: the model errs less
PREDICTORS: Final = {
    "model": "trained model",
    "prior": "its prior",
    "last": "last value carried forward",
}
TITLE: Final = "Error of predictions for patients who never trained the model"


@dataclass(frozen=True)
class Frame:
    """The public facts that an answer is worded with. `weeks`: where a new band of weeks begins."""

    question: str
    unit: str
    weeks: tuple[int, ...]
    bound: float
    held_out: str

    @property
    def bands(self) -> tuple[str, ...]:
        """The weeks of each band, e.g. '4 to 11'; one over all: none."""
        return bands_of(self.weeks)


def bands_of(weeks: Sequence[int]) -> tuple[str, ...]:
    """The weeks of each band that begins at one of `weeks`, the first at 0; '' for no division."""
    if not weeks:
        return ("",)
    ends = (0, *weeks, WEEKS)
    return tuple(f"{a} to {b - 1}" if b - a > 1 else f"{a}" for a, b in pairwise(ends))


def suffix_of(horizon: int | None, band: str) -> str:
    """The end of an estimate's name, e.g. 'week8', 'all', 'week8-from-4-to-11'."""
    at = "all" if horizon is None else f"week{horizon}"
    return f"{at}-from-{band.replace(' ', '-')}" if band else at


def answer(frame: Frame, rows: tuple[Row, ...]) -> Answer:
    """The answer from the decoded sums."""
    whole = tuple(row for row in rows if row.band is None)
    found = {(row.band, row.horizon): _estimates(frame, row) for row in rows}
    return Answer(
        question=frame.question,
        kind=KIND,
        title=TITLE,
        sentences=_sentences(whole, frame.unit),
        estimates=tuple(e for by_name in found.values() for e in by_name.values()),
        tables=tuple(_tables(frame, rows)),
        figures=_figures(frame, found),
        notes=_notes(frame),
    )


def _notes(frame: Frame) -> tuple[str, ...]:
    notes = [
        f"Mean absolute error in {frame.unit}; lower is better. Each held-out patient counts once "
        "per horizon; patients whose errors are extreme count for less, by a public rule (vector "
        f"norm {frame.bound:.2f}), so errors read some 2 to 6 % low.",
        "The prior was pre-trained on synthetic data or is the last value carried forward; what "
        "these clinics' data added is the difference between model and prior.",
        f"Held out from training: {frame.held_out}. Intervals are 95 % and include the privacy "
        "noise.",
        "For research only: not a statement about any person.",
    ]
    if frame.weeks:
        notes.insert(
            1,
            "By the weeks since entry from which was foretold, a patient counts once in each band "
            "of weeks with a pair of scores; over all weeks once a band.",
        )
    return tuple(notes)


def _sentences(rows: tuple[Row, ...], unit: str) -> tuple[str, ...]:
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


def label_of(key: str, horizon: int | None, band: str) -> str:
    """What an estimate is of, e.g. 'model less its prior, 4 weeks ahead, from weeks 0 to 3'."""
    words = {
        **{f"mae_{name}": told for name, told in PREDICTORS.items()},
        "minus_last": "model less last value carried forward",
        "minus_prior": "model less its prior",
    }[key]
    return f"{words}, {_label(horizon)}" + (f", from weeks {band}" if band else "")


def _estimates(frame: Frame, row: Row) -> dict[str, Estimate]:
    band = "" if row.band is None else frame.bands[row.band]
    values = {
        **{f"mae_{key}": getattr(row, key) for key in PREDICTORS},
        "minus_last": row.minus_last,
        "minus_prior": row.minus_prior,
    }
    return {
        key: _estimate(
            f"{key}_{suffix_of(row.horizon, band)}",
            label_of(key, row.horizon, band),
            value,
            row,
            frame.unit,
        )
        for key, value in values.items()
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


def _tables(frame: Frame, rows: tuple[Row, ...]) -> list[Table]:
    whole = [row for row in rows if row.band is None]
    parts = [row for row in rows if row.band is not None]
    columns = (*PREDICTORS.values(), "model less last value", "model less prior")
    note = f"mean absolute error, {frame.unit}, with 95 % intervals; lower is better"
    found = [
        Table(
            TITLE,
            ("horizon", *columns),
            tuple((_label(row.horizon), *_cells(row)) for row in whole),
            note=note,
        )
    ]
    if parts:
        found.append(
            Table(
                "Error by the weeks from which was foretold",
                ("from weeks", "horizon", *columns),
                tuple(
                    (frame.bands[row.band or 0], _label(row.horizon), *_cells(row)) for row in parts
                ),
                note=note,
            )
        )
    return found


def _cells(row: Row) -> tuple[Cell, ...]:
    values = (*(getattr(row, key) for key in PREDICTORS), row.minus_last, row.minus_prior)
    return tuple(_words(value, row.usable) for value in values)


def _words(value: Value, usable: bool) -> Cell:
    if not usable:
        return "suppressed"
    low, high = _interval(value)
    return f"{value.value:.2f} ({low:.2f} to {high:.2f})"


Found = dict[tuple[int | None, int | None], dict[str, Estimate]]


def _figures(frame: Frame, found: Found) -> tuple[Figure, ...]:
    horizons = [h for band, h in found if h is not None and band is None]
    bars = Bars(
        TITLE,
        "weeks ahead",
        f"mean absolute error, {frame.unit} (lower is better)",
        tuple(str(h) for h in horizons),
        {
            words: tuple(found[None, h][f"mae_{key}"] for h in horizons)
            for key, words in PREDICTORS.items()
        },
    )
    forests = [
        Forest(
            f"What the model gains{where}",
            f"difference in mean absolute error, {frame.unit}",
            tuple(
                found[place][key]
                for key in ("minus_last", "minus_prior")
                for place in found
                if place[0] == band
            ),
            better=BETTER,
        )
        for band, where in _parts(frame)
    ]
    return (bars, *forests)


def _parts(frame: Frame) -> list[tuple[int | None, str]]:
    whole: list[tuple[int | None, str]] = [(None, "")]
    if not frame.weeks:
        return whole
    return whole + [(k, f", from weeks {words}") for k, words in enumerate(frame.bands)]
