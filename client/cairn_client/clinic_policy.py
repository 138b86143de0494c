"""`ClinicPolicy`: policy.toml, what a clinic asks of a study beyond what Cairn asks of every one.

Each setting can only tighten. The file is looked at before every answer, so that a tightened
policy stops a study at its next request, whoever approved it before.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cairn_client.clinic_config import ClinicConfig
from cairn_client.clinic_folder import ClinicFolder
from cairn_models.questions import KINDS
from cairn_protocol.code_version import WANTED
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.policy import LARGEST_ROSTER
from cairn_protocol.study import parse_toml, read_bounded

log = logging.getLogger("cairn.keeper")
FILE: Final = "policy.toml"
LARGEST_POLICY: Final = 64 * 1024  # bytes
PAGE: Final = "docs/clinic-policy.md"


class ClinicPolicy(BaseModel):
    """policy.toml. A setting that is left out asks nothing more.

    `max_epsilon_study` and `max_epsilon_patient` bound what one study, and all together, may spend
    on a patient; `max_delta` a study's δ. `min_clinics`, `min_survivors`, `min_threshold` and
    `min_colluding` are the least that a study's policy may say, `min_cell_patients` and
    `min_cell_clinics` the least behind a number that it shows. `questions` are the kinds that may
    be asked. `noise_required` refuses exact sums of public data, `training = false` models,
    `synthetic = false` studies of made-up patients. `max_rounds` counts retries. `courses` allows
    expected-course charts in studies that have them. `approvals` is how many accounts must approve.
    `code` names the versions of Cairn with which this clinic answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_epsilon_study: float | None = Field(default=None, gt=0, le=20)
    max_epsilon_patient: float | None = Field(default=None, gt=0, le=20)
    max_delta: float | None = Field(default=None, gt=0, lt=1e-3)
    min_clinics: int | None = Field(default=None, ge=3, le=LARGEST_ROSTER)
    min_survivors: int | None = Field(default=None, ge=3, le=LARGEST_ROSTER)
    min_threshold: int | None = Field(default=None, ge=2, le=LARGEST_ROSTER)
    min_colluding: int | None = Field(default=None, ge=1, le=LARGEST_ROSTER)
    min_cell_patients: int | None = Field(default=None, ge=1, le=100_000)
    min_cell_clinics: int | None = Field(default=None, ge=1, le=LARGEST_ROSTER)
    questions: tuple[str, ...] | None = None
    noise_required: bool = Field(default=False, strict=True)
    training: bool = Field(default=True, strict=True)
    max_rounds: int | None = Field(default=None, ge=1, le=100_000)
    synthetic: bool = Field(default=True, strict=True)
    courses: bool = Field(default=False, strict=True)
    approvals: Literal[1, 2] = 1
    code: str = Field(default="", pattern=WANTED)

    @field_validator("questions")
    @classmethod
    def _known(cls, kinds: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := sorted(set(kinds or ()) - set(KINDS)):
            raise ValueError(f"{', '.join(unknown)}: no such kind; known: {', '.join(KINDS)}")
        return kinds

    @classmethod
    def read(cls, folder: Path, config: ClinicConfig) -> Self:
        """The policy of the clinic in `folder`; without a file, one that asks nothing more.

        Raises:
            InputError: a file that cannot be used, or `input.policy-loosens`.
        """
        file = folder / FILE
        if not os.path.lexists(file):
            return cls()
        policy = parse_toml(cls, read_bounded(file, LARGEST_POLICY), where=str(file), page=PAGE)
        for name in ("max_epsilon_study", "max_epsilon_patient"):
            most = getattr(policy, name)
            if most is not None and most > config.cap_epsilon:
                raise InputError(
                    f"{file} would allow more than clinic.toml does",
                    code="policy-loosens",
                    why=f"{name} = {most:g}, and cap_epsilon is {config.cap_epsilon:g}",
                    hint=f"a policy can only tighten: lower {name} to {config.cap_epsilon:g} or "
                    "less, or take it out",
                )
        return policy


class PolicyFile:
    """A clinic's policy.toml as it stands, read again whenever it has changed."""

    def __init__(self, clinic: ClinicFolder) -> None:
        self._clinic = clinic
        self._lock = threading.Lock()
        self._held: tuple[tuple[int, ...], ClinicPolicy] | None = None

    def policy(self) -> ClinicPolicy:
        """The policy.

        Raises:
            InputError: the file cannot be used. Nothing is answered until it can.
        """
        with self._lock:
            mark = self._mark()
            if self._held is None or self._held[0] != mark:
                self._held = None
                self._held = (mark, ClinicPolicy.read(self._clinic.path, self._clinic.config))
            return self._held[1]

    def approvals(self) -> int:
        """How many different people a study needs; two where the file cannot be used.

        People can then look at every study and pause it, and nothing is approved that two would
        have had to approve.
        """
        try:
            return self.policy().approvals
        except InputError:
            return 2

    def usable(self) -> ClinicPolicy:
        """The policy, for an answer to a request.

        Raises:
            PolicyRefusal: `policy.clinic-policy-unusable`, in words that may leave the clinic.
        """
        try:
            return self.policy()
        except InputError as error:
            log.error("policy.toml cannot be used: %s", error.code)
            raise PolicyRefusal(
                "this clinic cannot use its own policy, and answers nothing until it can",
                code="clinic-policy-unusable",
                hint="its people see what is wrong with `cairn clinic doctor`",
            ) from None

    def _mark(self) -> tuple[int, ...]:
        file = self._clinic.path / FILE
        try:
            found = file.stat()
        except OSError:  # a link to nothing is not the same as no file
            return (os.path.lexists(file),)
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
