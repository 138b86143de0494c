"""`patient_losses`: how far the predictions were off, one number a patient.

For a score, Huber loss of the median plus pinball losses of six quantiles (95, 80 and 50 % bands),
which all follow from the two half-widths; for a chance, the logarithmic loss. Summed over a
patient's cells and divided by that patient's *own* number of cells and `FEW` more: who answers more
often weighs more, but not without limit, so that gradients are of like size and the bound cuts few
of them. (What is cut does not sum to zero at the best parameters, so much cutting moves them.)
Dividing by the cells that a batch has would let one patient change another's gradient and broke
the bound (14.75 C) in a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss

from cairn_models.trajectory.network import EDGE, Raw
from cairn_models.trajectory.targets import Targets

FEW: Final = 8.0  # cells; so many weigh half of what endless ones would
POINTS: Final = 3.0 / 27.0  # of the range: one unit of error, and where Huber turns linear
LEVELS: Final = (0.75, 0.9, 0.975)  # upper ends of the bands that the half-widths must fit
BAND: Final = 2.0 / (2 * len(LEVELS))  # weight of one quantile's pinball loss
COMPANION: Final = 0.5  # weights beside the main score's 1
OUTCOME: Final = 0.2
DROPOUT: Final = 0.2


@dataclass(frozen=True)
class Cells:
    """What is to be foretold, as tensors: `trajectory.targets.Targets` in float32.

    `score` (B, T, 2, H), `outcome` (B, T, 3, H), `dropout` (B, T, 2); each mask is 1.0 where known.
    """

    score: Tensor
    score_known: Tensor
    outcome: Tensor
    outcome_known: Tensor
    dropout: Tensor
    dropout_known: Tensor

    @classmethod
    def joined(cls, parts: list[Cells]) -> Cells:
        """The patients of all `parts`, one after another."""
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in _FIELDS))

    def take(self, rows: Tensor) -> Cells:
        """The patients at `rows`."""
        return Cells(*(getattr(self, name)[rows] for name in _FIELDS))


_FIELDS: Final = tuple(Cells.__dataclass_fields__)


def as_cells(asked: Targets, rows: int | None = None) -> Cells:
    """`asked` as tensors, filled up with zeros to `rows` where given."""
    arrays = (getattr(asked, name).astype(np.float32) for name in _FIELDS)
    return Cells(*(torch.from_numpy(filled(a, rows or len(a))) for a in arrays))


def filled(values: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """`values` and then zeros, `rows` rows."""
    out = np.zeros((rows, *values.shape[1:]), dtype=np.float32)
    out[: len(values)] = values
    return out


def patient_losses(raw: Raw, cells: Cells) -> Tensor:
    """(B,) losses."""
    off = (cells.score - raw.median) / POINTS
    cell = huber_loss(off, torch.zeros_like(off), reduction="none")
    # The band moves around the median without pulling it.
    off = off.detach()
    for level in LEVELS:
        reach = float(ndtri(level) / ndtri(EDGE)) / POINTS
        cell = cell + BAND * _pinball(off - reach * raw.above, level)
        cell = cell + BAND * _pinball(off + reach * raw.below, 1 - level)
    weight = cells.score_known * cells.score_known.new_tensor([1.0, COMPANION])[:, None]
    total, cells_here = (cell * weight).flatten(1).sum(1), weight.flatten(1).sum(1)
    for guess, truth, known, share in (
        (raw.outcome, cells.outcome, cells.outcome_known, OUTCOME),
        (raw.dropout, cells.dropout, cells.dropout_known, DROPOUT),
    ):
        wrong = binary_cross_entropy_with_logits(guess, truth, reduction="none")
        total = total + share * (wrong * known).flatten(1).sum(1)
        cells_here = cells_here + share * known.flatten(1).sum(1)
    return total / (cells_here + FEW)


def _pinball(above: Tensor, quantile: float) -> Tensor:
    return (quantile * above).maximum((quantile - 1) * above)
