"""`Fitted`: coefficients with both parts of their covariance, or why they cannot be told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CLEAR: Final = 3.0  # standard deviations of its noise that a count or an information must reach

TOO_FEW: Final = "too few people to tell through the noise"
TOO_RARE: Final = "too few people with the outcome, or too few without it, to tell"
SEPARATED: Final = "everybody or nobody there had the outcome: the estimate would be infinite"
NO_REFERENCE: Final = "the group that it is compared with could not be told"
SWAMPED: Final = "the noise hides what the data say about it"
NOT_FITTED: Final = "no finite estimate was found"


@dataclass(frozen=True)
class Fitted:
    """Coefficients in the order of the design's columns; what is not told holds zeros.

    Shapes: `beta`, `count` (p,); `sampling`, `noise` (p, p), the two parts of the covariance.

    Args:
        why: for each coefficient '' or why it cannot be told.
        count: noised people behind each: those for whom its column is not zero.
        people: noised, in the model.
        degrees: of freedom of the intervals; infinite: normal.
        scale: residual variance in squared units of the outcome; None: the model has none.
        log_likelihood: only where nothing was noised.
        rows: which rows of the table were fitted; None: all.
    """

    beta: Array
    sampling: Array
    noise: Array
    why: tuple[str, ...]
    count: Array
    people: float
    degrees: float = float("inf")
    scale: float | None = None
    log_likelihood: float | None = None
    rows: NDArray[np.bool_] | None = None

    @classmethod
    def nothing(cls, why: str, count: Array, people: float) -> Fitted:
        """No coefficient can be told, for one reason."""
        p = len(count)
        return cls(np.zeros(p), np.zeros((p, p)), np.zeros((p, p)), (why,) * p, count, people)

    @property
    def told(self) -> NDArray[np.bool_]:
        """(p,) which coefficients may be shown."""
        return np.array([not why for why in self.why], dtype=np.bool_)

    @property
    def standard_errors(self) -> Array:
        """(p,), noise included."""
        return np.asarray(np.sqrt(np.diag(self.sampling) + np.diag(self.noise)))


def planned(quiet: Fitted | str, noised: Fitted | str) -> Fitted | None:
    """One plan fitted without noise and with it: `quiet` with what noise adds; None: neither.

    A plan's sums hold no noise. So taking off the bias of noise, and what fitting it would take
    from the residuals, moves the coefficients and widens the sampling part: only what noise adds
    is taken from `noised`, which grows with the noise and with nothing else.
    """
    if isinstance(quiet, str) or isinstance(noised, str):
        return None
    return replace(quiet, noise=noised.noise)


def basis_of(x: Array) -> Array:
    """(p, r) orthonormal columns that span the rows of `x`; the identity if all p are there."""
    if not len(x):
        return np.zeros((x.shape[1], 0))
    _, sizes, rows = np.linalg.svd(x, full_matrices=False)
    rank = int((sizes > 1e-9 * max(sizes[0], 1e-300)).sum())
    return np.eye(x.shape[1]) if rank == x.shape[1] else np.asarray(rows[:rank].T)


def spanned(basis: Array, wanted: Array) -> NDArray[np.bool_]:
    """Which rows of `wanted` (k, p) lie in the span of `basis`: their fitted values are known."""
    rest = wanted - wanted @ basis @ basis.T
    size = np.maximum(np.linalg.norm(wanted, axis=1), 1.0)
    return np.asarray(np.linalg.norm(rest, axis=1) < 1e-7 * size)
