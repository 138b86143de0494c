"""`pretrain`: a prior from synthetic worlds alone; costs no privacy, because there is no patient.

    python -m cairn_models.trajectory.pretrain --out models/cairn_models/artefacts

Worlds are drawn far around the published aggregates: the width of the draw matters more than the
realism of any one world.
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
from cairn_models.trajectory.loss import patient_losses
from cairn_models.trajectory.network import VERSION, fill, flat, parameter_count, untrained

PATIENTS: Final = 150  # a world
CLINICS: Final = 3  # a world: site effects are part of what varies
EPOCHS: Final = 15
BATCH: Final = 128  # patients
LEARNING_RATE: Final = 0.005
INSTRUMENT: Final = "PHQ-9"


def main() -> None:
    """Builds and writes the prior."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default=DEFAULT_PRIOR)
    args = parser.parse_args()
    torch.set_num_threads(1)
    prior = pretrain(worlds=args.worlds, epochs=args.epochs, seed=args.seed, name=args.name)
    print(f"wrote {write(prior, args.out)} (synthetic)")


def pretrain(
    *, worlds: int = 60, epochs: int = EPOCHS, seed: int = 1, name: str = DEFAULT_PRIOR
) -> Prior:
    """A prior from `worlds` synthetic worlds; the same `seed` draws the same worlds and batches."""
    rng = np.random.default_rng(seed)
    cohorts: list[Records] = []
    for k in range(worlds):
        world = World.wide(rng)
        cohorts += generate(world, [PATIENTS // CLINICS] * CLINICS, seed=seed * 100_000 + k)
    parameters = fit(cohorts, INSTRUMENTS[INSTRUMENT], epochs=epochs, seed=seed)
    card = Card(
        name=name,
        network_version=VERSION,
        instrument=INSTRUMENT,
        worlds=worlds,
        patients_per_world=PATIENTS,
        epochs=epochs,
        seed=seed,
        parameters=parameter_count(),
    )
    return Prior(parameters, card)


def fit(
    cohorts: list[Records],
    instrument: Instrument,
    *,
    epochs: int = EPOCHS,
    seed: int = 1,
    start: NDArray[np.float32] | None = None,
    learning_rate: float = LEARNING_RATE,
) -> NDArray[np.float32]:
    """(d,) parameters fitted to pooled cohorts without privacy: synthetic or public data only."""
    parts = [weekly(records, instrument) for records in cohorts]
    x = torch.from_numpy(np.concatenate([p.features for p in parts]))
    pairs = [p.targets() for p in parts]
    target = torch.from_numpy(np.concatenate([t for t, _ in pairs]))
    known = torch.from_numpy(np.concatenate([k for _, k in pairs]).astype(np.float32))
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
            losses = patient_losses(network(x[rows]), target[rows], known[rows])
            losses.mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return flat(network)


if __name__ == "__main__":
    main()
