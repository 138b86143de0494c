"""`Weekly`: records as dense weekly arrays, each patient's from that patient's rows alone.

Weeks run from 0 (time zero) to 26; a time belongs to its nearest week. Scores are on the 0-1
scale of their instrument's range. What is missing is a 0 beside a 0 in its mask, never a 0 that
could be a value. Scales are public constants, so nothing here depends on who else is in the clinic.

Rules that a reader may want to know:

- Several scores of one instrument in a week: the latest counts (at equal times the higher one).
- A score outside its instrument's range, or not finite, is no score. So are other values that are
  not finite; the rest are cut to a public range.
- 'stopped' is not a feature: it is written at the last use, when nobody could know that yet.
- The study's outcome is the main instrument. Its companion is GAD-7, or PHQ-9 beside a GAD-7.
- Arms and modalities that the domain does not name (a study's own labels) leave their columns at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.records import Records
from cairn_models.trajectory.columns import ARMS, COLUMNS, MODALITIES, OTHER_SCALES, WEEKS
from cairn_models.trajectory.placing import Floats, Mask, Placer, carried, first_so_far, parts

NEVER: Final = 10_000  # a week past every horizon


@dataclass(frozen=True)
class Weekly:
    """N patients' weeks.

    Args:
        patients: (N,) identifiers, in the order of the rows.
        features: (N, T, F) float32; F are `COLUMNS`.
        scores: (N, T, 2) float32, main instrument and companion on 0-1; 0 where not observed.
        observed: (N, T, 2) bool.
        started, left, completed: (N,) weeks of the programme's first use, of giving it up and of
            completing it; `NEVER` where it did not happen.
    """

    patients: tuple[str, ...]
    features: Floats
    scores: Floats
    observed: Mask
    started: NDArray[np.int64]
    left: NDArray[np.int64]
    completed: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.patients)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Weekly:
        """The patients at `rows`, in that order."""
        at = np.asarray(rows, dtype=np.int64)
        return Weekly(
            tuple(self.patients[i] for i in at),
            self.features[at],
            self.scores[at],
            self.observed[at],
            self.started[at],
            self.left[at],
            self.completed[at],
        )


def companion_of(instrument: Instrument) -> Instrument:
    """The second instrument that the features hold."""
    return INSTRUMENTS["PHQ-9" if instrument.name == "GAD-7" else "GAD-7"]


def weekly(records: Records, instrument: Instrument) -> Weekly:
    """The weeks of every patient in `records`, with `instrument` as the main one."""
    records = records.times_in("week")
    patients = records.patients.get_column("patient").to_list()
    place = Placer.of(patients)
    columns: dict[str, Floats] = {
        name: np.zeros((place.n, WEEKS), dtype=np.float32) for name in COLUMNS
    }
    score, seen = place.scores(records.scores, instrument)
    other, other_seen = place.scores(records.scores, companion_of(instrument))
    for name, value, observed in (("score", score, seen), ("companion", other, other_seen)):
        last, any_, since = carried(value, observed)
        columns |= {
            name: value,
            f"{name}_observed": observed.astype(np.float32),
            f"last_{name}": last,
            f"any_{name}": any_,
            f"weeks_since_{name}": since,
            f"first_{name}": first_so_far(value, observed),
        }
    for name in OTHER_SCALES:
        last, any_, _ = carried(*place.scores(records.scores, INSTRUMENTS[name]))
        columns |= {f"last_{name}": last, f"any_{name}": any_}
    columns["week"] += np.arange(WEEKS, dtype=np.float32) / np.float32(WEEKS - 1)
    used, started, left, completed = _use(place, records.engagement)
    columns |= used
    columns |= place.worn(records.wearables)
    columns |= _static(records.patients)
    features = np.stack(
        [np.broadcast_to(columns[name], (place.n, WEEKS)) for name in COLUMNS], axis=-1
    ).astype(np.float32)
    return Weekly(
        tuple(patients),
        features,
        np.stack([score, other], axis=-1),
        np.stack([seen, other_seen], axis=-1),
        started,
        left,
        completed,
    )


def _use(
    place: Placer, table: pl.DataFrame
) -> tuple[dict[str, Floats], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Use of the programme week by week; and the weeks of first use, leaving and completing."""
    logins = place.summed(table, "logins", 50.0)
    modules = place.summed(table, "modules", 10.0)
    begun = place.marked(table, "started")
    used = (logins > 0) | (modules > 0) | begun
    _, started, since = carried(logins, used)
    left, completed = (_week_of(place.marked(table, name)) for name in ("stopped", "completed"))
    left = np.where(completed < NEVER, NEVER, left)
    done = np.maximum.accumulate(place.marked(table, "completed"), axis=1)
    columns = {
        "offered": np.maximum.accumulate(place.marked(table, "offered"), axis=1).astype(np.float32),
        "started": started,
        "completed": done.astype(np.float32),
        "logins": _small(logins, 50.0),
        "modules": modules / np.float32(10.0),
        "weeks_since_use": since,
        "check_ins": _small(place.summed(table, "check_ins", 20.0), 20.0),
        "minutes": _small(place.summed(table, "minutes", 600.0), 600.0),
        "technical_errors": _small(place.summed(table, "technical_errors", 10.0), 10.0),
    }
    for name, low, high in (("credibility", 0.0, 10.0), ("alliance", 1.0, 5.0)):
        value, asked, _ = carried(*place.rated(table, name, low, high))
        columns |= {name: value, f"{name}_observed": asked}
    return columns, _week_of(used), left, completed


def _small(counts: Floats, largest: float) -> Floats:
    """Counts on 0-1, by their logarithm."""
    return np.asarray(np.log1p(counts) / np.log1p(np.float32(largest)), dtype=np.float32)


def _week_of(marks: Mask) -> NDArray[np.int64]:
    """(N,) the first marked week, `NEVER` without one."""
    return np.where(marks.any(axis=1), marks.argmax(axis=1), NEVER).astype(np.int64)


def _static(patients: pl.DataFrame) -> dict[str, Floats]:
    """(N, 1) columns that do not change: arm, modality, and what is known of the person."""

    def text(name: str) -> pl.Series:
        if name in patients.columns:
            return patients.get_column(name).cast(pl.String).str.to_lowercase()
        return pl.Series([None] * patients.height, dtype=pl.String)

    def dense(series: pl.Series) -> Floats:
        values = series.cast(pl.Float64).fill_null(0.0).to_numpy().astype(np.float32)
        return np.asarray(values[:, None], dtype=np.float32)

    def number(name: str, highest: int) -> pl.Series:
        # ASCII: `\d` also finds digits that do not convert, and one patient's would stop all.
        digits = text(name).str.extract(r"([0-9]{1,3})").cast(pl.Float64).clip(0, highest)
        return digits.to_frame("value").select(parts(pl.col("value"), highest)).to_series()

    def of(name: str, levels: dict[str, tuple[str, ...]], column: str) -> dict[str, Floats]:
        """A column that is 1 for some levels, beside whether the level is any that is known."""
        told = text(name)
        every = [level for some in levels.values() for level in some]
        return {
            column: dense(told.is_in(list(levels["yes"]))),
            f"{name}_known": dense(told.is_in(every)),
        }

    age = number("age_band" if "age_band" in patients.columns else "age", 100)
    deprivation = number("deprivation", 10)
    return {
        **{f"arm_{name}": dense(text("arm") == name) for name in ARMS},
        **{f"modality_{name}": dense(text("modality") == name) for name in MODALITIES},
        **of("sex", {"yes": ("female", "f"), "no": ("male", "m")}, "female"),
        "age": dense(age),
        "age_known": dense(age.is_not_null()),
        "deprivation": dense(deprivation),
        "deprivation_known": dense(deprivation.is_not_null()),
        **of("prior_therapy", {"yes": ("yes", "1"), "no": ("no", "0")}, "prior_therapy"),
        **of(
            "medication",
            {"yes": ("prescribed", "yes", "1"), "no": ("none", "no", "0")},
            "medication",
        ),
        **of(
            "employment",
            {"yes": ("unemployed", "sick"), "no": ("employed", "student", "retired")},
            "out_of_work",
        ),
    }
