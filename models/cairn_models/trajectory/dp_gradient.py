"""`patient_gradients`: the gradient of each patient's whole loss, one row a patient.

The only module that imports Opacus. Rows leave here unclipped: the door clips each to C and
truncates it on the integer grid, in the one place where that is proved. A block always has `BLOCK`
rows, filled up with patients who have nothing, so that a patient's floating-point arithmetic does
not depend on who else is in the clinic; nor may it on the place in the block, see `places`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from torch import Tensor, nn

from cairn_models.trajectory.features import COLUMNS, HORIZONS, WEEKS, Weekly
from cairn_models.trajectory.loss import patient_losses
from cairn_models.trajectory.network import drawn
from cairn_models.trajectory.places import copies, one_thread, require_alike

BLOCK: Final = 128  # patients; memory of a block ≈ 3 · BLOCK · d · 4 bytes


@dataclass(frozen=True)
class Block:
    """Up to `BLOCK` patients, always stored as `BLOCK` rows.

    `features` (BLOCK, T, F), `target` and `known` (BLOCK, T, H), all float32; `patients` rows are
    real, the rest are zeros.
    """

    features: Tensor
    target: Tensor
    known: Tensor
    patients: int


def blocks(weeks: Weekly, rows: NDArray[np.int64], horizons: tuple[int, ...]) -> Iterator[Block]:
    """The patients at `rows` in blocks."""
    target, known = weeks.targets(horizons)
    for at in range(0, len(rows), BLOCK):
        some = rows[at : at + BLOCK]
        yield Block(
            _filled(weeks.features[some]),
            _filled(target[some]),
            _filled(known[some].astype(np.float32)),
            len(some),
        )


def per_patient(network: nn.Module) -> GradSampleModule:
    """`network` with Opacus' hooks, which keep a gradient per row."""
    return GradSampleModule(network, batch_first=True, loss_reduction="sum")


def patient_gradients(model: GradSampleModule, block: Block) -> NDArray[np.float32]:
    """(block.patients, d) float32: each patient's gradient, in the order of `network.layout`."""
    model.zero_grad(set_to_none=True)
    for parameter in model.parameters():
        parameter.grad_sample = None
    with warnings.catch_warnings(), one_thread():
        # Features need no gradient, and the first layer's hook fires all the same.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        loss = patient_losses(model(block.features), block.target, block.known).sum()
        loss.backward()  # type: ignore[no-untyped-call]
    rows = [p.grad_sample.reshape(BLOCK, -1) for p in model.parameters()]
    return np.asarray(torch.cat(rows, dim=1)[: block.patients].numpy(), dtype=np.float32)


@cache
def check_places() -> None:
    """Passes where one patient has the same gradient at every place of a block; once a process.

    Raises:
        OurFault: `internal.places-differ`.
    """
    cells = (WEEKS, len(HORIZONS))
    everyone = Block(
        torch.from_numpy(copies((WEEKS, len(COLUMNS)), BLOCK, seed=1)),
        torch.from_numpy(copies(cells, BLOCK, seed=2)),
        torch.ones(BLOCK, *cells),
        BLOCK,
    )
    require_alike(patient_gradients(per_patient(drawn()), everyone))


def _filled(values: NDArray[np.float32]) -> Tensor:
    out = np.zeros((BLOCK, *values.shape[1:]), dtype=np.float32)
    out[: len(values)] = values
    return torch.from_numpy(out)
