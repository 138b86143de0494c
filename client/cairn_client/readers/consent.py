"""`Consent`: whose records may be used on a day, by the dates that the clinic holds.

A row of consent is a period. It begins on the day `begins` and is over on the day `ends`: from that
day on the patient is out. An end is a withdrawal, whatever row it stands in: it ends everything
that began before it or on that day, so a forgotten open row cannot keep anybody in. Who comes back
needs a row that begins later. A patient with a row that cannot be read is out until it is mended.

Every rule looks at one patient's rows and the calendar only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

PERIODS: Final = {
    "patient": pl.String,
    "begins": pl.Date,  # null: always
    "ends": pl.Date,  # null: open
    "given": pl.Boolean,  # False: the row says an end only
}
LEFT_OUT: Final = {"patient": pl.String, "why": pl.String}


@dataclass(frozen=True)
class Consent:
    """Every patient's periods of consent; None where the mapping names no consent at all."""

    periods: pl.DataFrame | None = None

    def by(self, patients: pl.Series, day: date) -> pl.DataFrame:
        """patient, why of those of `patients` who are out on `day`.

        `why` is "no consent", "consent ended" or "consent not begun".
        """
        if self.periods is None:
            return pl.DataFrame(schema=LEFT_OUT)
        begins, ends = pl.col("begins"), pl.col("ends")
        withdrawn = ends.filter(ends <= day).max().over("patient")
        after = withdrawn.is_null() | (begins > withdrawn).fill_null(value=False)
        begun = begins.is_null() | (begins <= day)
        open_ = ends.is_null() | (ends > day)
        states = (
            self.periods.with_columns(withdrawn=withdrawn, valid=pl.col("given") & after & open_)
            .with_columns(inside=pl.col("valid") & begun)
            .group_by("patient")
            .agg(
                pl.col("inside").any(),
                later=pl.col("valid").any(),
                ended=pl.col("withdrawn").is_not_null().any(),
            )
        )
        listed = pl.DataFrame({"patient": patients}, schema={"patient": pl.String})
        joined = listed.join(states, on="patient", how="left", maintain_order="left")
        why = (
            pl.when(pl.col("later"))
            .then(pl.lit("consent not begun"))
            .when(pl.col("ended"))
            .then(pl.lit("consent ended"))
            .otherwise(pl.lit("no consent"))
        )
        out = joined.filter(~pl.col("inside").fill_null(value=False))
        return out.select("patient", why=why)

    def without(self, patients: pl.Series) -> Consent:
        """The periods of everybody else."""
        if self.periods is None:
            return self
        return Consent(self.periods.filter(~pl.col("patient").is_in(patients.implode())))

    def of(self, patients: pl.Series) -> Consent:
        """The periods of these patients alone."""
        if self.periods is None:
            return self
        return Consent(self.periods.filter(pl.col("patient").is_in(patients.implode())))
