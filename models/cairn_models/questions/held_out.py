"""`Split`: who trains a model, and who never did and so may judge it.

Either a public share of patients is held out, chosen by a keyed hash of each patient alone; or all
patients of a public group of clinics are (internal–external validation): then nobody of these
clinics trains, and nobody else judges. What a group's clinics are is a public constant of the
signed study, so a patient's vector depends on that patient's rows and on public constants alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cairn_models.questions.base import KeyedSplit
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

HeldOutShare = Annotated[float, Field(ge=0, le=0.6)]
HeldOut = HeldOutShare | Annotated[str, Field(min_length=1, max_length=63)]


@dataclass(frozen=True)
class Split:
    """`share` of the planned patients is held out; with `group` those of its `clinics`."""

    study: bytes  # the study's digest
    share: float
    group: str = ""
    clinics: frozenset[str] = frozenset()

    @classmethod
    def of(cls, study: Study, held_out: float | str) -> Split:
        """The split that a study's setting `held_out` names.

        Raises:
            InputError: the study has no such group.
        """
        if not isinstance(held_out, str):
            return cls(study.digest, held_out)
        if held_out not in study.groups:
            raise InputError(
                f"held_out names a group of clinics that the study does not have, {held_out!r}",
                code="group-unknown",
                why=f"it has: {', '.join(study.groups) or 'none'}",
                hint=f"name its clinics under [groups.{held_out}], or give a share of patients",
            )
        group = study.groups[held_out]
        share = group.planned_patients / study.cohort.planned_patients
        return cls(study.digest, min(share, 1.0), held_out, group.clinics)

    def trains_at(self, clinic: str) -> bool:
        """Whether anybody of `clinic` trains."""
        return clinic not in self.clinics

    def judges_at(self, clinic: str) -> bool:
        """Whether anybody of `clinic` judges."""
        return not self.group or clinic in self.clinics

    def training(self, patients: Sequence[str]) -> NDArray[np.int64]:
        """Places of those among `patients` who train, at a clinic where anybody does."""
        return np.flatnonzero(~self._held(patients)) if not self.group else _all(patients)

    def judging(self, patients: Sequence[str]) -> NDArray[np.int64]:
        """Places of those among `patients` who judge, at a clinic where anybody does."""
        return np.flatnonzero(self._held(patients)) if not self.group else _all(patients)

    @property
    def words(self) -> str:
        """Who is held out, e.g. '30 % of patients, by a keyed hash'."""
        if self.group:
            return (
                f"all patients of the {len(self.clinics)} clinics of the public group "
                f"'{self.group}'"
            )
        return f"{100 * self.share:.0f} % of patients, by a keyed hash"

    def _held(self, patients: Sequence[str]) -> NDArray[np.bool_]:
        keyed = KeyedSplit(self.study, self.share)
        return np.array([keyed.is_held_out(patient) for patient in patients], dtype=np.bool_)


def _all(patients: Sequence[str]) -> NDArray[np.int64]:
    return np.arange(len(patients), dtype=np.int64)
