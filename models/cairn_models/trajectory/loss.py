"""`patient_losses`: how far the predictions were off, one number a patient.

Huber loss of the median plus pinball loss of the two band limits, summed over a patient's
(anchor, horizon) cells and divided by one *public* number of cells, `PLANNED_CELLS`. Dividing by
the cells that a patient or a batch really has would let one patient change another's gradient and
broke the bound (14.75 C) in a test; so who answers more often weighs more, up to the bound.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn.functional import huber_loss

PLANNED_CELLS: Final = 30.0  # puts the middle patient's gradient near the usual bound of 0.5
POINTS: Final = 3.0 / 27.0  # of the range: one unit of error, and where Huber turns linear
BAND: Final = (0.1, 0.9)  # an 80 % band


def patient_losses(predicted: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """(B,) losses.

    Args:
        predicted: (B, T, H, 3) low, median, high.
        target: (B, T, H), any value where not known.
        known: (B, T, H) 1.0 where there are an anchor and a target, else 0.0.
    """
    low, median, high = (predicted / POINTS).unbind(-1)
    truth = target / POINTS
    cell = huber_loss(median, truth, reduction="none")
    # The band moves around the median without pulling it.
    centre = median.detach() - median
    cell = cell + _pinball(truth - low - centre, BAND[0]) + _pinball(truth - high - centre, BAND[1])
    return (cell * known).sum(dim=(1, 2)) / PLANNED_CELLS


def _pinball(above: Tensor, quantile: float) -> Tensor:
    return (quantile * above).maximum((quantile - 1) * above)
