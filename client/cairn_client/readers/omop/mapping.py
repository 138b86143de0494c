"""`Omop`: the part `[omop]` of mapping.toml. docs/clinic-omop.md explains every setting.

A concept is written as `VOCABULARY:code` ("LOINC:44261-6"), or as `source:value` for what a clinic
writes into the tables' own `…_source_value`. Concept ids are never written: they are looked up.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EventTable = Literal[
    "visit_occurrence",
    "observation",
    "procedure_occurrence",
    "drug_exposure",
    "condition_occurrence",
    "device_exposure",
]
PersonFact = Literal["age", "gender", "race", "ethnicity"]
SOURCE: Final = "source"
Concept = Annotated[str, Field(pattern=r"^[^:\x00-\x1f]{1,40}:[^\x00-\x1f]{1,255}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Schema = Annotated[str, Field(max_length=63, pattern=r"^[^\x00\"]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OmopEvent(_Part):
    """Something that happened to a person on a day: a row of a table, or entry to a cohort."""

    table: EventTable | None = None
    concept: Concept | None = None
    cohort: int | str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> OmopEvent:
        if (self.table is None) == (self.cohort is None):
            raise ValueError("give either table (and concept) or cohort")
        if self.cohort is not None and self.concept is not None:
            raise ValueError("a cohort has no concept")
        if self.concept is None and self.table not in (None, "visit_occurrence"):
            raise ValueError(f"{self.table} needs a concept, such as SNOMED:… or source:…")
        return self


class Omop(_Part):
    """Where the database is, and what in it means what.

    Raises (on validation):
        ValueError: not exactly one address, or a setting that contradicts another.
    """

    url: str | None = Field(default=None, max_length=2000)
    url_file: str | None = Field(default=None, min_length=1, max_length=1000)
    url_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,100}$")
    socket: str | None = Field(default=None, min_length=1, max_length=100)
    user: str = Field(default="", max_length=64)
    schema_: Schema = Field(default="", alias="schema")
    vocabulary_schema: Schema = ""
    cohort_schema: Schema = ""
    time_limit: int = Field(default=300, ge=1, le=3600)  # seconds
    patient: Literal["person_id", "person_source_value"] = "person_id"
    instruments: dict[str, tuple[Concept, ...]] = Field(min_length=1)
    items: bool = False
    prorate: bool = False
    entry: OmopEvent | None = None
    arms: dict[Name, OmopEvent] = {}
    arm_otherwise: Name | None = None
    variables: dict[Name, PersonFact] = {}

    @model_validator(mode="after")
    def _whole(self) -> Omop:
        if sum(a is not None for a in (self.url, self.url_file, self.url_env)) != 1:
            raise ValueError("give exactly one of url_file, url_env and url")
        if self.socket is not None and self.user:
            raise ValueError("give socket or user: who answers at the socket is its own user")
        if self.prorate and not self.items:
            raise ValueError("prorate needs items = true")
        if self.arm_otherwise is not None and not self.arms:
            raise ValueError("arm_otherwise needs [omop.arms]")
        taken = {"patient", "arm", "entry", "row", "discharge"} & set(self.variables)
        if taken:
            raise ValueError(f"variables may not be called {', '.join(sorted(taken))}")
        if not all(self.instruments.values()):
            raise ValueError("every instrument needs at least one concept")
        return self

    def concepts(self) -> set[str]:
        """Every concept that must be looked up, source values left out."""
        named = {c for codes in self.instruments.values() for c in codes}
        events = (*self.arms.values(), *((self.entry,) if self.entry is not None else ()))
        named |= {e.concept for e in events if e.concept is not None}
        return {c for c in named if not is_source(c)}


def is_source(concept: str) -> bool:
    """Whether `concept` is a clinic's own `…_source_value` rather than a vocabulary's code."""
    return concept.split(":", 1)[0] == SOURCE


def code_of(concept: str) -> str:
    """What stands after the colon."""
    return concept.split(":", 1)[1]
