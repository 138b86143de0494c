"""`Study`: one TOML file, in a researcher's words, that says all that may be asked of a clinic.

What the study does not name cannot be asked. The file's bytes are what is signed and what
`digest` names; parsing never changes them. Settings of a question beyond the common ones are
kept as they stand and checked by the question's own module.
"""

from __future__ import annotations

import hashlib
import tomllib
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cairn_protocol.code_version import WANTED
from cairn_protocol.errors import InputError
from cairn_protocol.groups import MOST_PATIENTS, Group
from cairn_protocol.groups import faults as group_faults
from cairn_protocol.plain_words import hidden_words
from cairn_protocol.policy import Policy
from cairn_protocol.target_trial import TargetTrial

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
ModelT = TypeVar("ModelT", bound=BaseModel)
LARGEST_STUDY_FILE = 256 * 1024  # bytes; read nothing larger


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(_Part):
    """What is measured: an instrument's name, and the unit in which time is counted."""

    instrument: str
    time_unit: Literal["week", "month"] = "week"


class CustomInstrument(_Part):
    """An instrument that Cairn does not know, with its public range."""

    name: str
    lowest: float
    highest: float

    @model_validator(mode="after")
    def _ordered(self) -> CustomInstrument:
        if not (isfinite(self.lowest) and isfinite(self.highest) and self.lowest < self.highest):
            raise ValueError("lowest must be below highest, both finite")
        return self


class Variable(_Part):
    """A covariate as the study uses it: `levels` (the first is the reference) or a range.

    Levels and ranges are public: they come from the study, never from the data.
    """

    levels: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Variable:
        ends = [end for end in (self.lowest, self.highest) if end is not None]
        if len(ends) != (0 if self.levels else 2):
            raise ValueError("give either levels = [...] or both lowest and highest")
        if ends and not (isfinite(ends[0]) and isfinite(ends[1]) and ends[0] < ends[1]):
            raise ValueError("lowest must be below highest, both finite")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("levels must differ")
        return self


Day = Annotated[date, Field(strict=True)]  # a TOML date; a number would be seconds since 1970


class Cohort(_Part):
    """Who is studied, and the public figures that stand in for secret counts.

    Patients who entered from `entry_from` until `entry_until`, both days included, are admitted,
    and each quarter of entry that the window touches is charged as a whole. With either, patients
    without a date of entry are not admitted; with neither, everybody is, and is charged.
    """

    arms: tuple[str, ...] = ()
    entry_from: Day | None = None
    entry_until: Day | None = None
    planned_patients: int = Field(gt=0, le=MOST_PATIENTS)
    largest_clinic: int = Field(
        gt=0, le=MOST_PATIENTS, description="public cap on one clinic's patients"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Cohort:
        if self.entry_from and self.entry_until and self.entry_from > self.entry_until:
            raise ValueError("entry_from must not be after entry_until")
        return self


class Privacy(_Part):
    """`patients`: every answer is noised and charged. `public`: no noise, for public data only.

    `retries` rounds may be asked again after a failure, in all; each is charged as a new release.
    """

    data: Literal["patients", "public"] = "patients"
    delta: float = Field(default=1e-6, gt=0, le=1e-6)
    retries: int = Field(default=0, ge=0, le=20)


class Disclosure(_Part):
    """A number needs this many patients (by its noised count), its sum this many clinics."""

    patients: int = Field(default=10, ge=1)
    clinics: int = Field(default=3, ge=1)


class Release(_Part):
    """How results leave. `blinded`: arms bear letters until a named person unblinds them.

    `courses`: clinics may draw, for themselves, the courses that the trained model expects of their
    patients.
    """

    blinded: bool = Field(default=False, strict=True)
    courses: bool = Field(default=False, strict=True)


class QuestionSpec(BaseModel):
    """One question: a name, its kind, the ε that it may spend, and its kind's own settings.

    `primary` names the results whose precision counts in a plan (the first, if none is named);
    `insist` says in writing why the question is asked although noise swamps them. `target_trial`
    says whether it is asked of the study's target trial; None: if it compares arms from time zero.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Name
    kind: Name
    epsilon: float | None = Field(default=None, gt=0, le=8)
    primary: tuple[str, ...] = ()
    insist: str = Field(default="", max_length=500)
    target_trial: bool | None = Field(default=None, strict=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings beyond name, kind and ε, as the file has them."""
        return dict(self.model_extra or {})


class Study(_Part):
    """A parsed study. Build it with `Study.read` or `Study.parse`.

    `code` names the versions of Cairn with which clinics may answer, as `code_version` reads it.
    """

    cairn: Literal[1]
    name: Name
    title: str
    purpose: str = ""
    team: str = ""
    synthetic: bool = False
    code: str = Field(default="", pattern=WANTED)
    outcome: Outcome
    cohort: Cohort
    privacy: Privacy = Privacy()
    policy: Policy = Policy()
    disclosure: Disclosure = Disclosure()
    release: Release = Release()
    instruments: tuple[CustomInstrument, ...] = ()
    variables: dict[str, Variable] = {}
    target_trial: TargetTrial | None = None
    groups: dict[Name, Group] = {}
    questions: tuple[QuestionSpec, ...] = Field(min_length=1)
    source: bytes = Field(default=b"", exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _shows_as_it_is(cls, document: Any) -> Any:
        if found := [*hidden_words(document)]:
            raise ValueError("; ".join(found))
        return document

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        names = [q.name for q in self.questions]
        if len(set(names)) != len(names):
            raise ValueError("questions: two questions have the same name")
        for q in self.questions:
            if self.noised and q.epsilon is None:
                raise ValueError(f"questions.{q.name}: epsilon is missing; say what it may spend")
        if self.release.courses and all(q.kind != "trajectory" for q in self.questions):
            raise ValueError("release.courses: no question of this study trains a model")
        if self.noised and self.policy.survivors < self.disclosure.clinics:
            raise ValueError("policy.survivors is below disclosure.clinics: nothing could be shown")
        for q in self.questions:
            if not self.noised and q.epsilon is not None:
                raise ValueError(f"questions.{q.name}: epsilon has no meaning for public data")
        planned = self.cohort.planned_patients
        found = [*group_faults(self.groups, self.policy, self.disclosure.clinics, planned)]
        if self.noised and found:
            raise ValueError("; ".join(found))
        if self.target_trial is not None:
            if faults := self.target_trial.faults(self.cohort.arms, self.variables):
                raise ValueError("; ".join(faults))
        elif any(q.target_trial for q in self.questions):
            raise ValueError("questions: target_trial = true, but the study has no [target_trial]")
        return self

    @property
    def noised(self) -> bool:
        """Whether answers are noised and charged: everything but public data."""
        return self.privacy.data == "patients"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file's bytes: the study's identity."""
        return hashlib.sha256(b"cairn study v1\0" + self.source).digest()

    @classmethod
    def parse(cls, source: bytes, *, where: str = "study.toml") -> Study:
        """The study in `source`.

        Raises:
            InputError: not UTF-8 TOML, or a field is missing, unknown or out of range.
        """
        return parse_toml(cls, source, where=where, extra={"source": source})

    @classmethod
    def read(cls, path: Path) -> Study:
        """The study in the file at `path`; errors name the file."""
        return cls.parse(read_bounded(path, LARGEST_STUDY_FILE), where=str(path))


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of `path`, refusing a missing file or one larger than `limit` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {path}",
            code="file-unreadable",
            why=error.strerror or str(error),
            hint="check the path and its permissions",
        ) from None
    if len(data) > limit:
        raise InputError(
            f"{path} is larger than {limit} bytes",
            code="file-too-large",
            hint="is this the right file?",
        )
    return data


def parse_toml(
    model: type[ModelT],
    source: bytes,
    *,
    where: str,
    page: str = "docs/study-file.md",
    extra: dict[str, Any] | None = None,
) -> ModelT:
    """A `model` from TOML bytes; every fault becomes one `InputError` that names each field.

    Args:
        where: the file, for messages.
        page: of the docs, which lists the file's settings.
        extra: values beside those of the file.
    """
    try:
        document = tomllib.loads(source.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not UTF-8 (byte {error.start})",
            code="not-utf8",
            hint="save the file as UTF-8",
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is the former
        raise InputError(
            f"{where} is not valid TOML",
            code="not-toml",
            why="it is nested too deeply" if isinstance(error, RecursionError) else str(error),
            hint="mend that line; text stands in quotes, lists in [ ]",
        ) from None
    try:
        return model.model_validate({**document, **(extra or {})})
    except ValidationError as error:
        faults = faults_in_words(error)
        raise InputError(
            f"{where} cannot be used",
            code="file-invalid",
            why=faults,
            hint=f"{page} lists every setting",
        ) from None


def faults_in_words(error: ValidationError) -> str:
    """Every fault that pydantic found, a sentence each, by the name of the setting."""
    return "; ".join(_in_words(fault) for fault in error.errors())


def _in_words(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"]) or "the settings"
    match fault["type"]:
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return f"{place} is not a setting that Cairn knows"
        case _:
            return f"{place}: {fault['msg'].removeprefix('Value error, ')}"
