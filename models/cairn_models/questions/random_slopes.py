"""`RandomSlopeRounds`: the rounds of a mixed model with `(1 + time | patient)`.

A round asks every clinic for the sums of `random_slopes` at the θ of five walks at once; the server
takes Newton's step in each (`slope_search`). No patient's vector holds a coefficient's guess: β and
the residual variance follow from the sums.
"""

from __future__ import annotations

import math
from typing import Final

from cairn_models.answers import Answer
from cairn_models.questions.base import Public, Shape, Vector
from cairn_models.questions.mixed_model_rows import PatientRows, Rows, power_of_two
from cairn_models.questions.random_slopes_answer import slopes_answer
from cairn_models.statistics.random_intercept import Method
from cairn_models.statistics.random_slopes import (
    PatientProducts,
    SlopeSums,
    slope_vector_length,
)
from cairn_models.statistics.slope_fit import fit_slopes
from cairn_models.statistics.slope_search import START, WALKS, SlopeSearch, SlopeState
from cairn_protocol.errors import InputError

MOST_SLOPE_COLUMNS: Final = 16  # a patient's vector grows with the square


class RandomSlopeRounds:
    """The fitting of a random-slope model; see `Fitting`."""

    def __init__(self, reader: PatientRows, method: Method, rounds: int, largest: float) -> None:
        """A fitting in `rounds` rounds.

        Args:
            reader: its design, scales and settings.
            method: which likelihood.
            rounds: the look and the Newton steps.
            largest: what an entry of the planned patients' sum should not exceed.

        Raises:
            InputError: too many coefficients.
        """
        columns = len(reader.design.columns)
        if columns > MOST_SLOPE_COLUMNS:
            raise InputError(
                f"the formula of question {reader.spec.name!r} has {columns} coefficients and a "
                "random slope",
                code="formula-too-long",
                hint=f"at most {MOST_SLOPE_COLUMNS} with (1 + time | patient); leave out "
                "interactions, or write (1 | patient)",
            )
        self._reader, self._rounds = reader, rounds
        self._search = SlopeSearch(method, reader.design.random == "slope")
        s = reader.settings
        self._time = 2.0 ** math.ceil(math.log2(s.latest))  # times are at most 1 in size
        worst = reader.study.cohort.planned_patients * 16.0 * s.max_visits**2
        self._log_scale = power_of_two(largest, worst)

    @property
    def shape(self) -> Shape:
        """Unbounded: public data only."""
        length = slope_vector_length(len(self._reader.design.columns), WALKS)
        return Shape(length, None, rounds=self._rounds)

    def start(self) -> Public:
        """All walks at θ = 0."""
        return START.write()

    def vectors(self, rows: Rows, public: Public) -> Vector:
        """Each patient's sums at the θ that the walks try."""
        times = [t / self._time for t in rows.times]
        products = PatientProducts.of(rows.x, rows.y, times)
        return products.vectors(SlopeState.read(public).trial, self._log_scale)

    def advance(self, public: Public, total: Vector, round_: int) -> Public:
        """One step of every walk."""
        state = SlopeState.read(public)
        return self._search.advance(state, self._sums(total), round_).write()

    def answer(self, public: Public, total: Vector) -> Answer:
        """The model of the walk that came out lowest, or why there is none."""
        model = fit_slopes(self._search, SlopeState.read(public), self._sums(total))
        reader = self._reader
        return slopes_answer(reader.spec, reader.study, reader.design, model, self._rounds)

    def _sums(self, total: Vector) -> SlopeSums:
        reader = self._reader
        return SlopeSums.unpack(
            total, reader.scale, reader.outcome_scale, self._log_scale, self._time
        )
