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
    descent, place = Newton(20, 1.0, curvature, np.full(3, 1e-9)), np.zeros(3, np.float32)
    for round_ in range(20):
        place = descent.step(place, bowl(curvature, least)(place), round_)
    assert place == pytest.approx(least, abs=1e-4)


def test_a_pull_makes_the_least_expected_error_of_what_noise_lets_see():
    """Places drawn with sd 4 in bowls of 500 directions a curvature, seen through noisy rounds."""
    rng, noise, sd = np.random.default_rng(3), 3e-4, 4.0
    curvature = np.repeat([1e-3, 1e-4, 1e-5, 1e-6], 500)
    least = rng.normal(0, sd, 2000)

    def loss(times):
        pull = times * noise**2 / ROUNDS / curvature / sd**2
        descent, place = Newton(ROUNDS, 1.0, curvature, pull), np.zeros(2000, np.float32)
        for round_ in range(ROUNDS):
            gradient = bowl(curvature, least)(place) + rng.normal(0, noise, 2000)
            place = descent.step(place, gradient, round_)
        return 0.5 * (curvature * (place - least) ** 2).reshape(4, 500).mean(axis=1)

    prior = 0.5 * (curvature * least**2).reshape(4, 500).mean(axis=1)
    pulled, free, held = loss(1.0), loss(0.01), loss(100.0)
    assert (pulled < 1.1 * prior).all()
    assert pulled.sum() < 0.9 * free.sum()  # free: noise leads where the loss hardly bends
    assert pulled.sum() < 0.9 * held.sum()  # held: what could be seen is not followed
    assert free[3] > 3 * prior[3]


@pytest.mark.parametrize("descent", [Newton(3, 1.0, np.ones(2), np.ones(2)), Adam(3, 0.1, 0.1)])
def test_rounds_out_of_order_are_refused_and_round_0_begins_afresh(descent):
    start, gradient = np.zeros(2, np.float32), np.ones(2)
    first = descent.step(start, gradient, 0)
    with pytest.raises(OurFault, match="after 1 rounds"):
        descent.step(first, gradient, 2)
    assert np.array_equal(descent.step(start, gradient, 0), first)
    descent.step(descent.step(first, gradient, 1), gradient, 2)
    with pytest.raises(OurFault):
        descent.step(first, gradient, 3)
