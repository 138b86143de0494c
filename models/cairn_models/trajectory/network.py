"""`CourseNetwork`: a small recurrent network that predicts scores 1, 2, 4 and 8 weeks ahead.

One GRU of 32 units reads the weeks; at every week it gives, for each horizon, the change from the
last score (median) and the two half-widths of an 80 % band. With the head at zero it carries the
last value forward, so training starts from the baseline that it must beat.

The cell is written out with `nn.Linear` so that Opacus gives a gradient per patient without its
DPGRU; the product with the inputs is taken for all weeks at once, outside the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

from cairn_models.trajectory.features import COLUMNS, HORIZONS, LAST_SCORE, WEEKS
from cairn_models.trajectory.places import copies, one_thread, require_alike

VERSION: Final = 1  # of features and network together; an artefact of another one is refused
HIDDEN: Final = 32
OUTPUTS: Final = 3  # change, lower half-width, upper half-width
SCALE: Final = 0.2  # of the range: 5.4 PHQ-9 points for one unit of the head


class CourseNetwork(nn.Module):
    """Forward: (B, T, F) features → (B, T, H, 3) low, median, high on the 0-1 scale."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(len(COLUMNS), 3 * HIDDEN)
        self.recurrent = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.head = nn.Linear(HIDDEN, len(HORIZONS) * OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) float32 → (B, T, H, 3); low ≤ median ≤ high."""
        b, weeks, _ = x.shape
        from_input = self.inputs(x)  # (B, T, 3·HIDDEN)
        state = x.new_zeros(b, HIDDEN)
        states = []
        for t in range(weeks):
            reset_x, update_x, new_x = from_input[:, t].chunk(3, dim=-1)  # (B, HIDDEN) each
            reset_h, update_h, new_h = self.recurrent(state).chunk(3, dim=-1)
            update = torch.sigmoid(update_x + update_h)
            new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
            state = new + update * (state - new)
            states.append(state)
        out = self.head(torch.stack(states, dim=1))  # (B, T, H·3)
        change, below, above = out.view(b, weeks, len(HORIZONS), OUTPUTS).unbind(-1)
        median = x[:, :, LAST_SCORE, None] + SCALE * change
        low, high = median - SCALE * softplus(below), median + SCALE * softplus(above)
        return torch.stack((low, median, high), dim=-1)


def untrained(seed: int = 0) -> CourseNetwork:
    """A network with drawn weights and a head of zeros; the same for everyone with this seed."""
    network = CourseNetwork()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("head") or name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.uniform_(-(HIDDEN**-0.5), HIDDEN**-0.5, generator=draw)
    return network


def layout() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each parameter's name and shape, in the order of the flat vector."""
    for name, parameter in CourseNetwork().named_parameters():
        yield name, tuple(parameter.shape)


@cache
def parameter_count() -> int:
    """d: the length of the flat vector."""
    return sum(int(np.prod(shape)) for _, shape in layout())


def flat(network: nn.Module) -> NDArray[np.float32]:
    """(d,) float32: the parameters of `network`, in the order of `layout`."""
    return np.concatenate([p.detach().numpy().ravel() for p in network.parameters()])


def fill(network: nn.Module, vector: NDArray[np.float32]) -> None:
    """Puts the (d,) `vector` into `network`."""
    at = 0
    with torch.no_grad():
        for parameter in network.parameters():
            part = np.array(vector[at : at + parameter.numel()], dtype=np.float32)
            parameter.copy_(torch.from_numpy(part).view_as(parameter))
            at += parameter.numel()


def drawn() -> CourseNetwork:
    """A network with every parameter drawn, the same each time: its arithmetic is of no model."""
    network = CourseNetwork()
    fill(network, np.random.default_rng(0).normal(0.0, 0.3, parameter_count()).astype(np.float32))
    return network


@cache
def check_places(block: int) -> None:
    """Passes where one patient has the same prediction at every place of a block; once a process.

    Raises:
        OurFault: `internal.places-differ`.
    """
    require_alike(predict(flat(drawn()), copies((WEEKS, len(COLUMNS)), block, seed=1), block))


def predict(
    parameters: NDArray[np.float32], features: NDArray[np.float32], block: int = 256
) -> NDArray[np.float32]:
    """(N, T, H, 3) low, median, high on the 0-1 scale, without gradients.

    Blocks are filled up to `block` rows, so that a patient's arithmetic is the same whoever else
    is there.
    """
    network = CourseNetwork()
    fill(network, parameters)
    n = len(features)
    out = np.empty((n, features.shape[1], len(HORIZONS), OUTPUTS), dtype=np.float32)
    with torch.no_grad(), one_thread():
        for at in range(0, n, block):
            rows = features[at : at + block]
            x = np.zeros((block, *features.shape[1:]), dtype=np.float32)
            x[: len(rows)] = rows
            out[at : at + block] = network(torch.from_numpy(x)).numpy()[: len(rows)]
    return out
