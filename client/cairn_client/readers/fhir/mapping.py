"""`Fhir`: the part `[fhir]` of mapping.toml. docs/clinic-fhir.md explains every setting.

A code is written as it stands in the export, `system|code` where two systems share it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EntryFrom = Literal["CarePlan", "EpisodeOfCare", "ServiceRequest", "Encounter"]
Code = Annotated[str, Field(min_length=1, max_length=300)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Fact = Annotated[
    str, Field(max_length=300, pattern=r"^(age|age_band|gender|language|https?://\S+|urn:\S+)$")
]
ItemName = Annotated[str, Field(max_length=60, pattern=r"^[^/]+/[1-9][0-9]?$")]
_MANY_KINDS: Final = ("ServiceRequest", "Encounter")


class Fhir(BaseModel):
    """Where the export is, and what in it means what.

    Raises (on validation):
        ValueError: a setting that contradicts another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = Field(min_length=1, max_length=1000)
    identifier_system: Code | None = None
    entry: EntryFrom = "CarePlan"
    entry_codes: tuple[Code, ...] = ()
    arm_system: Code | None = None
    arms: dict[Code, Name] = {}
    variables: dict[Name, Fact] = {}
    consent: Literal["unless-refused", "required", "elsewhere"] = "unless-refused"
    consent_codes: tuple[Code, ...] = ()
    sensitive: tuple[Code, ...] = ()
    codes: dict[Code, str] = {}
    questionnaires: dict[Code, str] = {}
    items: dict[Code, ItemName] = {}
    answers: dict[Code, float] = {}
    prorate: bool = False
    wearables: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Fhir:
        if self.entry in _MANY_KINDS and not self.entry_codes:
            raise ValueError(
                f"entry from {self.entry} needs entry_codes: which of them begins the wait"
            )
        if self.consent == "required" and not self.consent_codes:
            raise ValueError('consent = "required" needs consent_codes: which consent is meant')
        taken = {"patient", "arm", "arms", "entry", "row", "discharge", "sensitive"}
        if taken & set(self.variables):
            wrong = ", ".join(sorted(taken & set(self.variables)))
            raise ValueError(f"variables may not be called {wrong}")
        return self

    def instruments(self) -> set[str]:
        """The instruments that the mapping names."""
        of_items = {name.split("/")[0] for name in self.items.values()}
        return {*self.codes.values(), *self.questionnaires.values(), *of_items}
