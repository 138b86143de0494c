"""The server's steps: Newton's with a public curvature, or torch's Adam, both with a cosine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cairn_models.trajectory.descent import Adam, Newton
from cairn_protocol.errors import OurFault

ROUNDS, D = 12, 50


@pytest.mark.parametrize("floor", [1e-8, 0.01])
def test_equal_to_torchs_adam_with_a_cosine(floor):
    rng = np.random.default_rng(0)
    own, theirs = np.zeros(D, np.float32), torch.zeros(D, requires_grad=True)
    descent = Adam(ROUNDS, 0.1, floor)
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
    steps = [Adam(1, 0.1, floor).step(np.zeros(2, np.float32), gradient, 0) for floor in (0, 0.01)]
    assert steps[0] == pytest.approx([-0.1, -0.1], rel=1e-6)
    assert steps[1] == pytest.approx([-0.1 / 1.1, -0.1 / 101], rel=1e-6)


def bowl(curvature, least):
    """Gradient of ½ Σ curvature (x − least)²."""
    return lambda place: curvature * (place.astype(float) - least)


def test_newton_arrives_along_steep_and_flat_directions_alike():
    curvature, least = np.array([4.0, 0.04, 0.0004]), np.array([1.0, -2.0, 3.0])
    descent, place = Newton(20, 1.0, curvature, 1e-9), np.zeros(3, np.float32)
    for round_ in range(20):
        place = descent.step(place, bowl(curvature, least)(place), round_)
    assert place == pytest.approx(least, abs=1e-4)


def test_damping_bounds_how_far_noise_carries_where_the_loss_does_not_bend():
    rng, noise = np.random.default_rng(3), 0.01
    damping = noise * np.sqrt(0.375 * ROUNDS) / 6
    descent, place = Newton(ROUNDS, 1.0, np.zeros(2000), damping), np.zeros(2000, np.float32)
    for round_ in range(ROUNDS):
        place = descent.step(place, rng.normal(0, noise, 2000), round_)
    # Σ of a cosine's squared rates is ⅜ T + ½ for T rounds from the first
    assert np.std(place) == pytest.approx(6.0 * np.sqrt(1 + 0.5 / (0.375 * ROUNDS)), rel=0.05)


@pytest.mark.parametrize("descent", [Newton(3, 1.0, np.ones(2), 0.1), Adam(3, 0.1, 0.1)])
def test_rounds_out_of_order_are_refused_and_round_0_begins_afresh(descent):
    start, gradient = np.zeros(2, np.float32), np.ones(2)
    first = descent.step(start, gradient, 0)
    with pytest.raises(OurFault, match="after 1 rounds"):
        descent.step(first, gradient, 2)
    assert np.array_equal(descent.step(start, gradient, 0), first)
    descent.step(descent.step(first, gradient, 1), gradient, 2)
    with pytest.raises(OurFault):
        descent.step(first, gradient, 3)
