"""What a private step costs beside the same network's plain step: `make bench NAME=training`.

One block of 128 synthetic patients, 27 weeks, the shipped network and its whole loss, one thread,
processor time. A *plain step* is a forward pass, the loss and a backward pass for the batch, with
`torch.nn.GRU`, whose backward is compiled, or with our own layer; the faster of the two counts. A
*private step* gives one gradient a patient, clips each and adds them up: in floating point, as it
is compared elsewhere, and as clinics do it, along the directions of the prior and on the integer
grid. Beside it stand Opacus' own hooks on the same network written with its `DPGRU`.
"""

from __future__ import annotations

import resource
import warnings
from collections.abc import Callable
from time import thread_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from opacus.layers import DPGRU
from torch import Tensor, nn

from benchmarks.outcome import Outcome, Target, median, seconds
from cairn_models.measures import INSTRUMENTS
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact
from cairn_models.trajectory.columns import COLUMNS, HORIZONS
from cairn_models.trajectory.dp_gradient import BLOCK, Block, blocks, patient_gradients, per_patient
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.loss import patient_losses
from cairn_models.trajectory.network import OUTPUTS, CourseNetwork, fill
from cairn_models.trajectory.recurrent import HIDDEN
from cairn_models.trajectory.space import Space
from cairn_privacy.bound import bounded_sum

BOUND = 0.1
REPEATS = 31
PHQ9 = INSTRUMENTS["PHQ-9"]


class Composed(nn.Module):
    """The layer that `CourseNetwork` writes out, composed of a recurrent and a linear one."""

    def __init__(self, recurrent: nn.Module) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.head = nn.Linear(HIDDEN, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) → (B, T, outputs)."""
        out: Tensor = self.head(self.recurrent(x)[0])
        return out


def main() -> Outcome:
    """Ratios to the plain step, the equality of gradients, and memory by the number of patients."""
    torch.set_num_threads(1)
    outcome = Outcome("training")
    block = _block(BLOCK)
    prior = artefact.read()
    space = Space(prior.parameters, prior.directions[:64])
    steps: dict[str, Callable[[], object]] = {
        "plain, torch.nn.GRU": _plain(
            composed(nn.GRU(len(COLUMNS), HIDDEN, batch_first=True)), block
        ),
        "plain, our layer": _plain(network(), block),
        "private, a gradient a patient": _rows(block),
        "private, clipped and summed": _summed(block),
        "private, along 64 directions, on the integer grid": _door(block, space),
        "private, all parameters, on the integer grid": _door(block, Space(prior.parameters)),
        "private, Opacus' hooks, DPGRU": _hooks(block),
    }
    times = {name: median(seconds(step, REPEATS, thread_time)) for name, step in steps.items()}
    plain = min(times["plain, torch.nn.GRU"], times["plain, our layer"])
    for name, value in times.items():
        outcome.rows.append(
            {"step": name, "ms": round(1e3 * value, 2), "of_plain": round(value / plain, 2)}
        )
    apart = _apart(block)
    outcome.rows.append({"what": "largest difference to a loop of single patients", "value": apart})
    memory = {n: _memory(n) for n in (BLOCK, 16 * BLOCK)}
    for n, megabytes in memory.items():
        outcome.rows.append({"patients": n, "megabytes_more": megabytes})
    outcome.targets = [
        Target("private step, over plain", times["private, clipped and summed"] / plain, "<=", 1.2),
        Target(
            "Opacus' hooks, over plain", times["private, Opacus' hooks, DPGRU"] / plain, ">=", 3.0
        ),
        Target("difference to a loop of single patients", apart, "<=", 1e-5),
        Target(
            f"MB for {16 * BLOCK} patients beyond what {BLOCK} need",
            max(memory[16 * BLOCK] - memory[BLOCK], 0.0),
            "<=",
            16 * BLOCK * network().recurrent.input_weight.numel() * 4 / 1e6,
        ),
    ]
    return outcome


def network() -> CourseNetwork:
    """The prior."""
    made = CourseNetwork()
    fill(made, artefact.read().parameters)
    return made


def composed(recurrent: nn.Module) -> CourseNetwork:
    """The network with its layer composed of other people's."""
    made = network()
    made.recurrent = Composed(recurrent)  # type: ignore[assignment]
    return made


def _block(patients: int) -> Block:
    weeks = weekly(generate(World(), [patients], seed=5)[0], PHQ9)
    return next(blocks(weeks, np.arange(patients), PHQ9, HORIZONS))


def _plain(model: nn.Module, block: Block) -> Callable[[], object]:
    def step() -> None:
        model.zero_grad()
        patient_losses(model(block.features), block.cells).sum().backward()  # type: ignore[no-untyped-call]

    return step


def _rows(block: Block) -> Callable[[], NDArray[np.float32]]:
    model = per_patient(network())
    return lambda: patient_gradients(model, block)


def _summed(block: Block) -> Callable[[], object]:
    rows = _rows(block)

    def step() -> object:
        found = torch.from_numpy(rows())
        norm = torch.linalg.vector_norm(found, dim=1)
        return torch.clamp(BOUND / norm, max=1.0) @ found

    return step


def _door(block: Block, space: Space) -> Callable[[], object]:
    model = per_patient(network())

    def step() -> object:
        rows = patient_gradients(model, block, space).astype(np.float64)
        return bounded_sum([rows], space.size, BOUND)

    return step


def _hooks(block: Block) -> Callable[[], object]:
    model: Any = GradSampleModule(
        composed(DPGRU(len(COLUMNS), HIDDEN, batch_first=True)), loss_reduction="sum"
    )

    def step() -> object:
        model.zero_grad(set_to_none=True)
        for parameter in model.parameters():
            parameter.grad_sample = None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            patient_losses(model(block.features), block.cells).sum().backward()
        rows = [p.grad_sample.reshape(BLOCK, -1) for p in model.parameters()]
        norm = torch.stack([r.square().sum(1) for r in rows]).sum(0).sqrt()
        weight = torch.clamp(BOUND / norm, max=1.0)
        return [weight @ r for r in rows]

    return step


def _apart(block: Block) -> float:
    """The largest difference of any number of any patient's gradient to a pass of its own."""
    fast, model = _rows(block)(), network()
    worst = 0.0
    for i in range(block.patients):
        model.zero_grad()
        one = torch.tensor([i])
        loss = patient_losses(model(block.features[one]), block.cells.take(one)).sum()
        loss.backward()
        slow = np.concatenate([p.grad.numpy().ravel() for p in model.parameters()])
        worst = max(worst, float(np.abs(slow - fast[i]).max()))
    return worst


def _memory(patients: int) -> float:
    """MB by which the process's peak grows while `patients` are summed."""
    weeks = weekly(generate(World(), [patients], seed=6)[0], PHQ9)
    prepared = list(blocks(weeks, np.arange(patients), PHQ9, HORIZONS))
    model = per_patient(network())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = np.zeros(artefact.read().parameters.size)
    for block in prepared:
        total += patient_gradients(model, block).sum(axis=0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
