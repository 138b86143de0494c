"""The server's optimiser is torch's Adam with a cosine, on sums instead of gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cairn_models.trajectory.descent import Descent

ROUNDS, D = 12, 50


@pytest.mark.parametrize("floor", [1e-8, 0.01])
def test_equal_to_torchs_adam_with_a_cosine(floor):
    rng = np.random.default_rng(0)
    own, theirs = np.zeros(D, np.float32), torch.zeros(D, requires_grad=True)
    descent = Descent(ROUNDS, 0.1, floor)
    adam = torch.optim.Adam([theirs], lr=0.1, eps=floor)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, ROUNDS)
    for round_ in range(ROUNDS):
        gradient = rng.normal(0, 0.02, D)
        own = descent.step(own, gradient, round_)
        theirs.grad = torch.from_numpy(gradient.astype(np.float32))
        adam.step()
        cosine.step()
    assert own == pytest.approx(theirs.detach().numpy(), abs=1e-5)


def test_a_floor_keeps_small_gradients_from_taking_full_steps():
    gradient = np.array([0.1, 0.0001])
    steps = [
        Descent(1, 0.1, floor).step(np.zeros(2, np.float32), gradient, 0) for floor in (0, 0.01)
    ]
    assert steps[0] == pytest.approx([-0.1, -0.1], rel=1e-6)
    assert steps[1] == pytest.approx([-0.1 / 1.1, -0.1 / 101], rel=1e-6)
