"""`CourseNetwork`: a small recurrent network that foretells scores, outcomes and dropout.

One GRU of 32 units reads the weeks (`recurrent.py`); at every week it gives, for the study's
instrument and its companion, the distribution of the score at each horizon; the probability of
reliable improvement, deterioration and recovery at each horizon; and of both dropouts. With the
head at zero it carries the last value forward, so training starts from the baseline that it must
beat.

A score's distribution is a two-piece normal: a median and a half-width to either side, from the
median to the 10 % and the 90 % quantile. Quantiles outside the instrument's range are at its ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, ndtri
from torch import Tensor, nn
from torch.nn.functional import softplus

from cairn_models.trajectory.columns import (
    COLUMNS,
    DROPOUTS,
    HORIZONS,
    LAST,
    OUTCOMES,
    SCALES,
    WEEKS,
)
from cairn_models.trajectory.places import copies, one_thread, require_alike
from cairn_models.trajectory.recurrent import HIDDEN, Recurrent

Floats = NDArray[np.float32]

VERSION: Final = 2  # of features and network together; an artefact of another one is refused
PARTS: Final = 3  # of a score: change, lower half-width, upper half-width
SCALE: Final = 0.2  # of the range: 5.4 PHQ-9 points for one unit of the head
EDGE: Final = 0.9  # the quantile at which a half-width ends
SCORES: Final = SCALES * len(HORIZONS) * PARTS  # outputs, in this order
CHANCES: Final = len(OUTCOMES) * len(HORIZONS)
OUTPUTS: Final = SCORES + CHANCES + len(DROPOUTS)


@dataclass(frozen=True)
class Raw:
    """The network's outputs as tensors with gradients; B patients, T weeks, H horizons.

    `median`, `below`, `above` (B, T, 2, H) on the 0-1 scale (half-widths are positive),
    `outcome` (B, T, 3, H) and `dropout` (B, T, 2) log odds.
    """

    median: Tensor
    below: Tensor
    above: Tensor
    outcome: Tensor
    dropout: Tensor


class CourseNetwork(nn.Module):
    """Forward: (B, T, F) features → `Raw`."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = Recurrent(len(COLUMNS), OUTPUTS)

    def forward(self, x: Tensor) -> Raw:
        """(B, T, F) float32 → what each week foretells."""
        b, weeks, _ = x.shape
        out = self.recurrent(x)  # (B, T, OUTPUTS)
        score, chance, dropout = out.split((SCORES, CHANCES, len(DROPOUTS)), dim=-1)
        change, below, above = score.reshape(b, weeks, SCALES, len(HORIZONS), PARTS).unbind(-1)
        return Raw(
            x[:, :, list(LAST), None] + SCALE * change,
            SCALE * softplus(below),
            SCALE * softplus(above),
            chance.reshape(b, weeks, len(OUTCOMES), len(HORIZONS)),
            dropout,
        )


@dataclass(frozen=True)
class Prediction:
    """What each week foretells, without gradients; N patients, T weeks, H horizons, all float32.

    `median`, `below`, `above` (N, T, 2, H) on the 0-1 scale, main instrument first, not cut to the
    range: `quantile` is, and `quantile(0.5)` is the prediction of a score. `outcome`
    (N, T, 3, H) and `dropout` (N, T, 2) probabilities. Nothing is foretold by a week at or before
    which the scale's last score is missing: the caller must look (`any_score`).
    """

    median: Floats
    below: Floats
    above: Floats
    outcome: Floats
    dropout: Floats

    def quantile(self, level: float, scale: int = 0) -> Floats:
        """(N, T, H) the quantile at `level` of the scale's score, within the range 0-1."""
        reach = np.float32(ndtri(level) / ndtri(EDGE))
        side = self.above if level >= 0.5 else self.below
        return np.clip(self.median[:, :, scale] + reach * side[:, :, scale], 0.0, 1.0)


def untrained(seed: int = 0) -> CourseNetwork:
    """A network with drawn weights and a head of zeros; the same for everyone with this seed."""
    network = CourseNetwork()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "head" in name or name.endswith("bias"):
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


def flat(network: nn.Module) -> Floats:
    """(d,) float32: the parameters of `network`, in the order of `layout`."""
    return np.concatenate([p.detach().numpy().ravel() for p in network.parameters()])


def fill(network: nn.Module, vector: Floats) -> None:
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
def check_places(block: int, weeks: int = WEEKS) -> None:
    """Passes where one patient has the same prediction at every place of a block; once a process.

    Raises:
        OurFault: `internal.places-differ`.
    """
    found = predict(flat(drawn()), copies((weeks, len(COLUMNS)), block, seed=1), block)
    for rows in (found.median, found.below, found.above, found.outcome, found.dropout):
        require_alike(rows)


def predict(parameters: Floats, features: Floats, block: int = 256) -> Prediction:
    """What the network with these `parameters` (d,) foretells from `features` (N, T, F).

    Blocks are filled up to `block` rows, so that a patient's arithmetic is the same whoever else
    is there.
    """
    network = CourseNetwork()
    fill(network, parameters)
    n, weeks, _ = features.shape
    h = len(HORIZONS)
    scores = [np.empty((n, weeks, SCALES, h), dtype=np.float32) for _ in range(PARTS)]
    outcome = np.empty((n, weeks, len(OUTCOMES), h), dtype=np.float32)
    dropout = np.empty((n, weeks, len(DROPOUTS)), dtype=np.float32)
    with torch.no_grad(), one_thread():
        for at in range(0, n, block):
            rows = features[at : at + block]
            x = np.zeros((block, *features.shape[1:]), dtype=np.float32)
            x[: len(rows)] = rows
            raw, here = network(torch.from_numpy(x)), slice(at, at + len(rows))
            for out, part in zip(scores, (raw.median, raw.below, raw.above), strict=True):
                out[here] = part.numpy()[: len(rows)]
            outcome[here] = expit(raw.outcome.numpy()[: len(rows)])
            dropout[here] = expit(raw.dropout.numpy()[: len(rows)])
    return Prediction(scores[0], scores[1], scores[2], outcome, dropout)
