"""`Family`: how one family of regression counts patients, and what it makes of the sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.records import Records
from cairn_models.regression.covariates import Array
from cairn_models.regression.fitted import Fitted
from cairn_models.regression.margin import Difference

BLOCK: Final = 4096  # patients in a block of contributions


@dataclass(frozen=True)
class Told:
    """What a family found. `differences`: for each other arm the marginal risk difference."""

    fitted: Fitted
    differences: dict[int, Difference]
    deviance: float | None = None


class Family(ABC):
    """A family bound to a plan. `length`, `bound` and `rounds` as in `Shape`."""

    length: int
    bound: float | None
    rounds: int = 1

    @abstractmethod
    def prepare(self, records: Records) -> Any:
        """What `rows` needs, pure per patient."""

    @abstractmethod
    def rows(self, prepared: Any, public: NDArray[np.float32]) -> Iterator[Array]:
        """Blocks (patients, length), one row a patient, norm ≤ bound."""

    @abstractmethod
    def told(self, public: NDArray[np.float32], total: Array, noise_sd: float) -> Told:
        """What the sum says."""

    @property
    @abstractmethod
    def events(self) -> float:
        """People with the rarer outcome that the planned cohort would have; all if linear."""

    @abstractmethod
    def foretold(self, noise_sd: float) -> Told | None:
        """What the planned cohort's typical sums would say; None: it cannot be foretold.

        Coefficients and sampling are those without noise, whatever `noise_sd`.
        """

    def start(self) -> NDArray[np.float32]:
        """The first public state."""
        return np.zeros(0, dtype=np.float32)

    def advance(self, public: NDArray[np.float32], total: Array) -> NDArray[np.float32]:
        """The next one."""
        return public
