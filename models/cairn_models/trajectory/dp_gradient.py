"""`patient_gradients`: the gradient of each patient's whole loss, one row a patient.

The only module that imports Opacus. `Recurrent` is registered as a layer with a grad sampler of
its own, so Opacus' `GradSampleModule` gives one gradient a patient from a single pass back through
time. Rows leave here unclipped: the door clips each to C and truncates it on the integer grid, in
the one place where that is proved. A block always has `BLOCK` rows, filled up with patients who
have nothing, so that a patient's floating-point arithmetic does not depend on who else is in the
clinic; nor may it on the place in the block, see `places`. Memory is a block's, whatever the
clinic's size.
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
from opacus.grad_sample.utils import register_grad_sampler
from torch import Tensor, nn

from cairn_models.measures import Instrument
from cairn_models.trajectory.columns import COLUMNS, DROPOUTS, HORIZONS, OUTCOMES, SCALES, WEEKS
from cairn_models.trajectory.features import Weekly
from cairn_models.trajectory.loss import Cells, as_cells, filled, patient_losses
from cairn_models.trajectory.network import CourseNetwork, drawn
from cairn_models.trajectory.places import copies, one_thread, require_alike
from cairn_models.trajectory.recurrent import Recurrent, patient_rows
from cairn_models.trajectory.space import Space
from cairn_models.trajectory.targets import targets

BLOCK: Final = 128  # patients; memory of a block ≈ 3 · BLOCK · d · 4 bytes


@dataclass(frozen=True)
class Block:
    """Up to `BLOCK` patients, always stored as `BLOCK` rows.

    `features` (BLOCK, T, F) and `cells`, all float32; `patients` rows are real, the rest zeros.
    """

    features: Tensor
    cells: Cells
    patients: int


@register_grad_sampler(Recurrent)  # type: ignore[untyped-decorator]
def _sample(
    layer: Recurrent, activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """Hands Opacus views of `layer.rows`. It would copy what is returned into zeros of its own,
    which takes a third of the step; what it finds as the current sample it keeps."""
    parts = patient_rows(layer, backprops, layer.rows[: len(backprops)])
    for parameter, part in parts.items():
        parameter._current_grad_sample = part  # type: ignore[attr-defined]
    return {}


def blocks(
    weeks: Weekly, rows: NDArray[np.int64], instrument: Instrument, horizons: tuple[int, ...]
) -> Iterator[Block]:
    """The patients at `rows` in blocks."""
    for at in range(0, len(rows), BLOCK):
        some = weeks.take(rows[at : at + BLOCK])
        asked = as_cells(targets(some, instrument, horizons), BLOCK)
        yield Block(torch.from_numpy(filled(some.features, BLOCK)), asked, len(some))


def per_patient(network: CourseNetwork) -> GradSampleModule:
    """`network` with Opacus' hooks, which keep a gradient per row."""
    network.recurrent.rows = torch.zeros(BLOCK, sum(p.numel() for p in network.parameters()))
    return GradSampleModule(network, batch_first=True, loss_reduction="sum")


def patient_gradients(
    model: GradSampleModule, block: Block, space: Space | None = None
) -> NDArray[np.float32]:
    """(block.patients, d) float32: each patient's gradient, in the order of `network.layout`; with
    a `space`, (block.patients, space.size) with respect to its place. The array is the model's own
    and holds until its next block."""
    model.zero_grad(set_to_none=True)
    for parameter in model.parameters():
        parameter.grad_sample = None
    with warnings.catch_warnings(), one_thread():
        # Features need no gradient, and the first layer's hook fires all the same.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        loss = patient_losses(model(block.features), block.cells).sum()
        loss.backward()  # type: ignore[no-untyped-call]
    rows = np.asarray(model._module.recurrent.rows.numpy())
    return (space.gradients(rows) if space else rows)[: block.patients]


@cache
def check_places() -> None:
    """Passes where one patient has the same gradient at every place of a block; once a process.

    Raises:
        OurFault: `internal.places-differ`.
    """
    h = len(HORIZONS)
    shapes = (WEEKS, SCALES, h), (WEEKS, len(OUTCOMES), h), (WEEKS, len(DROPOUTS))
    asked: list[Tensor] = []
    for k, shape in enumerate(shapes):
        asked += [torch.from_numpy(copies(shape, BLOCK, seed=2 + k)), torch.ones(BLOCK, *shape)]
    features = torch.from_numpy(copies((WEEKS, len(COLUMNS)), BLOCK, seed=1))
    require_alike(patient_gradients(per_patient(drawn()), Block(features, Cells(*asked), BLOCK)))
