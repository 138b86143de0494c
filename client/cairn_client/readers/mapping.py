"""`ClinicMapping`: a clinic's `mapping.toml`, which names its own files, columns and codes.

Only what the mapping names is loaded: a column that it does not name, a free-text note above all,
is never read. docs/clinic-data.md explains every setting.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cairn_client.readers.fhir.mapping import Fhir
from cairn_client.readers.imported import QUARANTINE_FILE
from cairn_client.readers.omop.mapping import Omop
from cairn_client.readers.scales import ENGAGEMENT_RANGES, WEARABLE_RANGES
from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_protocol.errors import InputError
from cairn_protocol.study import CustomInstrument, parse_toml, read_bounded

MAPPING_FILE: Final = "mapping.toml"
LARGEST_MAPPING: Final = 256 * 1024  # bytes
ENCODINGS = Literal["utf-8", "utf-16", "latin-1", "cp1252", "iso-8859-15", "cp850", "mac-roman"]
TABLES: Final = ("patients", "consent", "scores", "engagement", "wearables")
OF_A_PATIENT: Final = (
    "patient",
    "sensitive",
    "arm",
    "entry",
    "discharge",
    "consent_begins",
    "consent_ends",
)
Column = Annotated[str, Field(min_length=1, max_length=200)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
VariableName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
ArmName = VariableName
_DIRECTIVE: Final = re.compile(r"%[YmdBbeHMSTF]")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Table(_Part):
    """A file and its patient column. `date_format` overrides the mapping's own.

    `sensitive` tags the rows of sensitive programmes (42 CFR Part 2), which are left out.
    """

    file: str = Field(min_length=1, max_length=1000)
    patient: Column
    sensitive: Column | None = None
    date_format: str = ""

    @model_validator(mode="after")
    def _readable(self) -> _Table:
        if Path(self.file).name == QUARANTINE_FILE:
            raise ValueError(f"{QUARANTINE_FILE} is where Cairn writes what it set aside")
        if self.date_format:
            check_date_format(self.date_format)
        return self

    @abstractmethod
    def columns(self) -> dict[str, str]:
        """Role → the clinic's column, for each role that the mapping fills."""


class _Timed(_Table):
    week: Column | None = None
    month: Column | None = None
    date: Column | None = None

    @model_validator(mode="after")
    def _one_time(self) -> _Timed:
        given = sum(c is not None for c in (self.week, self.month, self.date))
        if given != (0 if self._times_of_columns() else 1):
            raise ValueError("give exactly one of week, month and date")
        return self

    def _times_of_columns(self) -> bool:
        """Whether every column of values says its own time."""
        return False

    @property
    def dated(self) -> bool:
        """Whether times are dates, from which weeks are counted."""
        return self.date is not None

    def columns(self) -> dict[str, str]:
        return _filled(
            patient=self.patient,
            sensitive=self.sensitive,
            week=self.week,
            month=self.month,
            date=self.date,
        )


class WideColumn(_Part):
    """What a column of a wide table holds: a total, or with `PHQ-9/3` an item; and when it was.

    `week` is the same for every row; `date` is another column. Without both, the row says when.
    """

    instrument: str = Field(pattern=r"^[^/]{1,60}(/[1-9][0-9]?)?$")
    week: float | None = Field(default=None, ge=-520, le=2600)
    date: Column | None = None

    @property
    def name(self) -> str:
        """The instrument."""
        return self.instrument.partition("/")[0]

    @property
    def item(self) -> str | None:
        """The item's number; None for a total."""
        return self.instrument.partition("/")[2] or None


class Scores(_Timed):
    """One row a score, or one row an item; or, with `wide`, a column for each."""

    wide: dict[Column, WideColumn] = {}
    value: Column | None = None
    instrument: Column | None = None
    instrument_is: str | None = None
    item: Column | None = None
    prorate: bool = False
    codes: dict[Word, str] = {}
    items: dict[Word, int] = {}
    ignore: tuple[str, ...] = ()

    @field_validator("wide", mode="before")
    @classmethod
    def _short(cls, columns: object) -> object:
        """`"column" = "PHQ-9"` is `{ instrument = "PHQ-9" }`."""
        if not isinstance(columns, dict):
            return columns
        return {k: {"instrument": v} if isinstance(v, str) else v for k, v in columns.items()}

    @model_validator(mode="after")
    def _one_shape(self) -> Scores:
        long = ("value", "instrument", "instrument_is", "item", "codes", "items", "ignore")
        if self.wide and any(getattr(self, name) for name in long):
            raise ValueError(f"a wide table has none of {', '.join(long)}: wide says it all")
        if not self.wide and self.value is None:
            raise ValueError("value is missing, the column of the score")
        timed = [(c.week is not None) + 2 * (c.date is not None) for c in self.wide.values()]
        if len(set(timed)) > 1 or 3 in timed:
            raise ValueError("either every column of wide has a week, or every one a date, or none")
        return self

    def _times_of_columns(self) -> bool:
        return any(c.week is not None or c.date is not None for c in self.wide.values())

    @property
    def dated(self) -> bool:
        return self.date is not None or any(c.date for c in self.wide.values())

    @model_validator(mode="after")
    def _one_instrument(self) -> Scores:
        if self.wide:
            return self
        if (self.instrument is None) == (self.instrument_is is None):
            raise ValueError("give exactly one of instrument and instrument_is")
        if self.item is None and (self.items or self.prorate):
            raise ValueError("items and prorate need item, the column of the item's number")
        return self

    def columns(self) -> dict[str, str]:
        spread = {f"wide{i}": column for i, column in enumerate(self.wide)}
        days = {f"day{i}": c.date for i, c in enumerate(self.wide.values()) if c.date is not None}
        return (
            super().columns()
            | _filled(instrument=self.instrument, value=self.value, item=self.item)
            | spread
            | days
        )


class NumberVariable(_Part):
    """A covariate that is a number rather than a word."""

    column: Column
    number: bool = True


class Patients(_Table):
    """One row a patient."""

    arm: Column | None = None
    entry: Column | None = None
    discharge: Column | None = None
    consent_begins: Column | None = None
    consent_ends: Column | None = None
    arms: dict[Word, ArmName] = {}
    variables: dict[VariableName, Column | NumberVariable] = {}

    @model_validator(mode="after")
    def _whole(self) -> Patients:
        if self.arms and self.arm is None:
            raise ValueError("arms needs arm, the column of the clinic's word")
        taken = {"row", "arms", *OF_A_PATIENT} & set(self.variables)
        if taken:
            raise ValueError(f"variables may not be called {', '.join(sorted(taken))}")
        return self

    def columns(self) -> dict[str, str]:
        fixed = _filled(**{role: getattr(self, role) for role in OF_A_PATIENT})
        return fixed | {
            name: v if isinstance(v, str) else v.column for name, v in self.variables.items()
        }


class ConsentTable(_Table):
    """One row a period of consent, or an end of it. Without `begins`, a row is consent."""

    begins: Column | None = None
    ends: Column | None = None

    def columns(self) -> dict[str, str]:
        return _filled(patient=self.patient, begins=self.begins, ends=self.ends)


class Engagement(_Timed):
    """One row a measure of use."""

    measure: Column
    value: Column
    measures: dict[Word, str] = {}

    @model_validator(mode="after")
    def _known(self) -> Engagement:
        _check_targets(self.measures, ENGAGEMENT_RANGES, "measures")
        return self

    def columns(self) -> dict[str, str]:
        return super().columns() | {"measure": self.measure, "value": self.value}


class Wearables(_Timed):
    """One row a weekly mean."""

    measure: Column
    value: Column
    coverage: Column
    measures: dict[Word, str] = {}

    @model_validator(mode="after")
    def _known(self) -> Wearables:
        _check_targets(self.measures, WEARABLE_RANGES, "measures")
        return self

    def columns(self) -> dict[str, str]:
        return super().columns() | {
            "measure": self.measure,
            "value": self.value,
            "coverage": self.coverage,
        }


class ClinicMapping(_Part):
    """A parsed mapping. Build it with `ClinicMapping.parse`."""

    cairn: Literal[1]
    synthetic: bool = False
    encoding: ENCODINGS = "utf-8"
    separator: Literal[",", ";", "\t", "|"] = ","
    decimal: Literal[".", ","] = "."
    date_format: str = ""
    earliest_week: float = Field(default=-26, ge=-520, le=0)
    latest_week: float = Field(default=520, gt=0, le=2600)
    scores: Scores | None = None
    patients: Patients | None = None
    consent: ConsentTable | None = None
    engagement: Engagement | None = None
    wearables: Wearables | None = None
    omop: Omop | None = None
    fhir: Fhir | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ClinicMapping:
        if self.date_format:
            check_date_format(self.date_format)
        sources = [n for n in ("scores", "omop", "fhir") if getattr(self, n) is not None]
        if len(sources) != 1:
            raise ValueError(
                "give exactly one of [scores], [omop] and [fhir], where scores come from"
            )
        if self.fhir is not None and self.patients is not None:
            raise ValueError("[fhir] has the patients; leave [patients] out")
        if self.fhir is not None and self.consent is not None and self.fhir.consent != "elsewhere":
            raise ValueError('[consent] stands beside [fhir] only with fhir.consent = "elsewhere"')
        dated = [name for name, t in self.tables().items() if isinstance(t, _Timed) and t.dated]
        entries = self.patients.entry if self.patients is not None else None
        if (
            self.omop is not None
            and (self.omop.entry if self.patients is None else entries) is None
        ):
            raise ValueError(
                "omop.entry is missing, from which weeks are counted; where there is a"
                " file of [patients], its entry is"
            )
        if dated and entries is None and self.omop is None and self.fhir is None:
            raise ValueError(f"{dated[0]}.date needs patients.entry, from which weeks are counted")
        rows = self.patients is not None and (
            self.patients.consent_begins or self.patients.consent_ends
        )
        if self.consent is not None and rows:
            raise ValueError("consent stands in [patients] or in [consent], not in both")
        if self.consent is not None and self.consent.sensitive:
            raise ValueError("consent has no sensitive; tag patients or rows")
        return self

    def tables(self) -> dict[str, Scores | Patients | ConsentTable | Engagement | Wearables]:
        """The tables that the mapping fills, by name, patients first."""
        return {n: t for n in TABLES if (t := getattr(self, n)) is not None}

    @classmethod
    def parse(cls, folder: Path) -> ClinicMapping:
        """The mapping in `folder`, whichever instruments it names: some only a study knows.

        Raises:
            InputError: missing, not TOML, or a setting is unknown, missing or out of range.
        """
        path = folder / MAPPING_FILE
        source = read_bounded(path, LARGEST_MAPPING)
        try:
            return parse_toml(cls, source, where=str(path), page="docs/clinic-data.md")
        except InputError as error:
            raise _unusable(path, error.why or error.what) from None

    def named_instruments(self) -> set[str]:
        """Cairn's or a study's names of instruments that the mapping speaks of."""
        named = set(self.scores.codes.values()) if self.scores is not None else set()
        if self.scores is not None:
            named |= {column.name for column in self.scores.wide.values()}
        if self.scores is not None and self.scores.instrument_is is not None:
            named.add(self.scores.instrument_is)
        if self.omop is not None:
            named |= set(self.omop.instruments)
        if self.fhir is not None:
            named |= self.fhir.instruments()
        return named


def known_instruments(custom: Iterable[Instrument | CustomInstrument]) -> dict[str, Instrument]:
    """Cairn's instruments and the study's own, by name; Cairn's cannot be redefined."""
    own = {
        c.name: c
        if isinstance(c, Instrument)
        else Instrument(c.name, c.lowest, c.highest, whole_numbers=False)
        for c in custom
    }
    return own | INSTRUMENTS


def check_date_format(text: str) -> None:
    """Refuse a format that could not give a day of a year: ValueError."""
    left = _DIRECTIVE.sub("", text)
    if "%" in left or len(text) > 40:
        raise ValueError("date_format may use %Y %m %d %B %b %e (and %H %M %S)")
    try:
        pl.Series(["x"]).str.to_date(text, strict=False)
    except (pl.exceptions.PolarsError, ValueError):
        raise ValueError("date_format is not one that can be read") from None
    if "%F" not in text and not ("%Y" in text and ("%d" in text or "%e" in text)):
        raise ValueError("date_format needs a four-digit year (%Y), a month and a day")


def _filled(**columns: str | None) -> dict[str, str]:
    return {role: name for role, name in columns.items() if name is not None}


def _check_targets(words: Mapping[str, str], known: Mapping[str, object], setting: str) -> None:
    unknown = sorted(set(words.values()) - set(known))
    if unknown:
        raise ValueError(
            f"{setting}: {', '.join(unknown)} is no measure of Cairn's ({', '.join(known)})"
        )


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} cannot be used",
        code="mapping-invalid",
        why=why,
        hint="docs/clinic-data.md lists every setting",
    )
