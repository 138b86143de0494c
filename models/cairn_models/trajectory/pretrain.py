"""`pretrain`: a prior from synthetic worlds alone; costs no privacy, because there is no patient.

    python -m cairn_models.trajectory.pretrain --out models/cairn_models/artefacts

Worlds are drawn far around the published aggregates: the width of the draw matters more than the
realism of any one world. After the network was fitted to all of them together it is fitted to each
alone; the principal directions of these moves are those in which patients may move it later
(`space.py`), turned so that the loss of synthetic patients bends along each by itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from cairn_models.measures import INSTRUMENTS, Instrument
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.artefact import DEFAULT_PRIOR, Card, Prior, write
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.loss import Cells, as_cells, patient_losses
from cairn_models.trajectory.network import (
    VERSION,
    CourseNetwork,
    fill,
    flat,
    parameter_count,
    untrained,
)
from cairn_models.trajectory.space import Floats, Space
from cairn_models.trajectory.targets import targets
from cairn_models.trajectory.varied import varied

PATIENTS: Final = 600  # a world
CLINICS: Final = 6  # a world: site effects are part of what varies
WORLDS: Final = 300
EPOCHS: Final = 8
BATCH: Final = 128  # patients
LEARNING_RATE: Final = 0.005
ALONE: Final = (4, 0.001)  # epochs and learning rate of the fit to one world
DIRECTIONS: Final = 48
BENDING: Final = 5  # every fifth world's first clinic tells the curvature
STEP: Final = 0.5  # of a standard deviation of worlds, for differences of gradients
INSTRUMENT: Final = "PHQ-9"


def main() -> None:
    """Builds and writes the prior."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default=DEFAULT_PRIOR)
    args = parser.parse_args()
    torch.set_num_threads(1)
    prior = pretrain(worlds=args.worlds, epochs=args.epochs, seed=args.seed, name=args.name)
    print(f"wrote {write(prior, args.out)} (synthetic)")


def pretrain(
    *, worlds: int = WORLDS, epochs: int = EPOCHS, seed: int = 1, name: str = DEFAULT_PRIOR
) -> Prior:
    """A prior from `worlds` synthetic worlds; the same `seed` draws the same worlds and batches."""
    rng = np.random.default_rng(seed)
    sizes = [PATIENTS // CLINICS] * CLINICS
    cohorts = [
        varied(generate(World.wide(rng), sizes, seed=seed * 100_000 + k), rng)
        for k in range(worlds)
    ]
    instrument = INSTRUMENTS[INSTRUMENT]
    together = [records for cohort in cohorts for records in cohort]
    parameters = fit(together, instrument, epochs=epochs, seed=seed)
    widest = _directions(parameters, cohorts, instrument, seed)
    directions, curvature = turned(parameters, widest, cohorts, instrument)
    card = Card(
        name=name,
        network_version=VERSION,
        instrument=INSTRUMENT,
        worlds=worlds,
        patients_per_world=PATIENTS,
        epochs=epochs,
        seed=seed,
        parameters=parameter_count(),
        directions=len(directions),
    )
    return Prior(parameters, directions, curvature, card)


def _directions(
    parameters: Floats, cohorts: list[list[Records]], instrument: Instrument, seed: int
) -> Floats:
    """(k, d): principal directions of the worlds' own fits around `parameters`, each as long as
    the standard deviation along it; k ≤ `DIRECTIONS`."""
    epochs, rate = ALONE
    moves = np.stack(
        [
            fit(c, instrument, epochs=epochs, seed=seed, start=parameters, learning_rate=rate)
            for c in cohorts
        ]
    ).astype(np.float64)
    _, size, along = np.linalg.svd(moves - moves.mean(axis=0), full_matrices=False)
    k = min(DIRECTIONS, len(cohorts) - 1)
    sd = size[:k, None] / np.sqrt(len(cohorts))
    # A singular vector's sign is arbitrary: the largest entry is made positive.
    sign = np.sign(along[np.arange(k), np.abs(along[:k]).argmax(axis=1)])
    return np.asarray(sign[:, None] * sd * along[:k], dtype=np.float32)


def turned(
    parameters: Floats, directions: Floats, cohorts: list[list[Records]], instrument: Instrument
) -> tuple[Floats, Floats]:
    """The same span's directions (k, d) along which the mean loss bends by itself, each as long as
    before, and its second derivatives (k,), the largest first."""
    x, cells = _tensors([cohort[0] for cohort in cohorts[::BENDING]], instrument)
    space, network = Space(parameters, directions), CourseNetwork()

    def gradient(place: Floats) -> NDArray[np.float64]:
        fill(network, space.parameters(place))
        network.zero_grad()
        for rows in torch.split(torch.arange(len(x)), 4 * BATCH):
            patient_losses(network(x[rows]), cells.take(rows)).sum().backward()  # type: ignore[no-untyped-call]
        whole = np.concatenate([p.grad.numpy().ravel() for p in network.parameters()])  # type: ignore[union-attr]
        return np.asarray(space.gradients(whole[None])[0], dtype=np.float64) / len(x)

    ahead = STEP * np.eye(len(directions), dtype=np.float32)
    bends = np.stack([gradient(one) - gradient(-one) for one in ahead]) / (2 * STEP)
    curvature, axes = np.linalg.eigh((bends + bends.T) / 2)
    curvature, axes = curvature[::-1], axes[:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])
    along = (axes.T @ directions).astype(np.float32)
    return along, np.maximum(curvature, 0.0).astype(np.float32)


def fit(
    cohorts: list[Records],
    instrument: Instrument,
    *,
    epochs: int = EPOCHS,
    seed: int = 1,
    start: Floats | None = None,
    learning_rate: float = LEARNING_RATE,
) -> Floats:
    """(d,) parameters fitted to pooled cohorts without privacy: synthetic or public data only."""
    x, cells = _tensors(cohorts, instrument)
    network = untrained(seed)
    if start is not None:
        fill(network, start)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(x), generator=draw), BATCH):
            optimiser.zero_grad()
            patient_losses(network(x[rows]), cells.take(rows)).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return flat(network)


def _tensors(cohorts: list[Records], instrument: Instrument) -> tuple[torch.Tensor, Cells]:
    """Features (N, T, F) and cells of all cohorts' patients."""
    parts = [weekly(records, instrument) for records in cohorts]
    x = torch.from_numpy(np.concatenate([p.features for p in parts]))
    return x, Cells.joined([as_cells(targets(p, instrument)) for p in parts])


if __name__ == "__main__":
    main()
