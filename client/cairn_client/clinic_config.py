"""`ClinicConfig`: clinic.toml, a clinic's own word on what it is and what it allows."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cairn_client.reimport import Schedule
from cairn_protocol.errors import InputError
from cairn_protocol.roster import CLINIC_NAME
from cairn_protocol.study import parse_toml, read_bounded

LARGEST_CONFIG: Final = 64 * 1024  # bytes
DEFAULT_CAP: Final = 8.0  # ε for a patient over all studies; domain.md, 'ε in practice'
DEFAULT_DELTA: Final = 1e-6


class ClinicConfig(BaseModel):
    """clinic.toml. `data = "public"` is the clinic's word that no patient's privacy is at stake.

    `cap_epsilon` (at `delta`) bounds what all studies together may spend on any patient.
    `reply_slot_seconds`: see `slots`; clinics whose data are public do not wait.
    `reimport` says when the keeper imports the files again, see `reimport.Schedule`; an import that
    would lose more than the share `loss_limit` of what is kept asks a person first.
    `keeper_user` and `link_user` are the machine's users as which root runs the two processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{CLINIC_NAME.pattern}$", max_length=63)
    data: Literal["patients", "synthetic", "public"] = "patients"
    cap_epsilon: float = Field(default=DEFAULT_CAP, gt=0, le=20)
    delta: float = Field(default=DEFAULT_DELTA, gt=0, lt=1e-3)
    reply_slot_seconds: float = Field(default=0.25, gt=0, le=60)
    reimport: str = Field(default="", max_length=64)
    loss_limit: float = Field(default=0.1, ge=0, le=1)
    keeper_user: str = Field(default="", max_length=64)
    link_user: str = Field(default="", max_length=64)

    @field_validator("reimport")
    @classmethod
    def _planned(cls, text: str) -> str:
        Schedule.parse(text)
        return text

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The configuration of the clinic in `folder`.

        Raises:
            InputError: no clinic.toml, or one that cannot be used.
        """
        file = folder / "clinic.toml"
        if not file.is_file():
            raise InputError(
                f"{folder} is not a clinic's folder",
                code="no-clinic-toml",
                why="it has no clinic.toml",
                hint="make one with `cairn clinic init`; see docs/clinic-data.md",
            )
        return cls.parse(read_bounded(file, LARGEST_CONFIG), where=str(file))

    @classmethod
    def parse(cls, text: bytes, *, where: str) -> Self:
        """The configuration in `text`.

        Raises:
            InputError: it cannot be used.
        """
        return parse_toml(cls, text, where=where, page="docs/clinic-data.md")
