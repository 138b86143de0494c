"""The network: equal to torch's own GRU, blind to the future, last value at its start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cairn_models.measures import INSTRUMENTS
from cairn_models.trajectory.features import COLUMNS, HORIZONS, LAST_SCORE, weekly
from cairn_models.trajectory.loss import patient_losses
from cairn_models.trajectory.network import (
    HIDDEN,
    SCALE,
    CourseNetwork,
    fill,
    flat,
    parameter_count,
    predict,
    untrained,
)

PHQ9 = INSTRUMENTS["PHQ-9"]


def drawn(seed: int = 0) -> CourseNetwork:
    network = untrained()
    fill(network, np.random.default_rng(seed).normal(0, 0.3, parameter_count()).astype(np.float32))
    return network


def test_the_cell_is_torchs_gru():
    network = drawn()
    own = nn.GRU(len(COLUMNS), HIDDEN, batch_first=True)
    with torch.no_grad():
        own.weight_ih_l0.copy_(network.inputs.weight)
        own.bias_ih_l0.copy_(network.inputs.bias)
        own.weight_hh_l0.copy_(network.recurrent.weight)
        own.bias_hh_l0.copy_(network.recurrent.bias)
        x = torch.rand(5, 27, len(COLUMNS))
        states, _ = own(x)
        change = network.head(states).view(5, 27, len(HORIZONS), 3)[..., 0]
        median = x[:, :, LAST_SCORE, None] + SCALE * change
        assert torch.allclose(network(x)[..., 1], median, atol=1e-6)


def test_the_size_is_what_the_privacy_plan_was_measured_with():
    assert 5_500 <= parameter_count() <= 7_000


def test_parameters_survive_a_round_trip_and_the_start_is_the_same_for_everyone():
    vector = flat(drawn(3))
    network = CourseNetwork()
    fill(network, vector)
    assert np.array_equal(flat(network), vector)
    assert np.array_equal(flat(untrained()), flat(untrained()))


def test_untrained_it_carries_the_last_value_forward(clinic):
    features = weekly(clinic, PHQ9).features
    median = predict(flat(untrained()), features)[..., 1]
    assert median == pytest.approx(
        np.repeat(features[:, :, LAST_SCORE, None], len(HORIZONS), axis=2)
    )


def test_the_band_contains_the_median(clinic):
    low, median, high = np.moveaxis(predict(flat(drawn()), weekly(clinic, PHQ9).features), -1, 0)
    assert (low <= median).all()
    assert (median <= high).all()


def test_a_prediction_does_not_depend_on_later_weeks():
    network, x = drawn(), torch.rand(2, 27, len(COLUMNS))
    later = x.clone()
    later[:, 10:] = 5.0
    assert torch.equal(network(x)[:, :10], network(later)[:, :10])


def test_a_patients_prediction_is_the_same_bits_in_any_company(clinic):
    vector, features = flat(drawn()), weekly(clinic, PHQ9).features
    whole = predict(vector, features, block=32)
    assert np.array_equal(predict(vector, features[7:8], block=32)[0], whole[7])
    assert np.array_equal(predict(vector, features[::-1].copy(), block=32)[::-1], whole)


def test_the_loss_is_least_at_the_quantiles_of_the_truth():
    draws = torch.from_numpy(np.random.default_rng(0).normal(0.5, 0.1, (4000, 1, 1)))
    known = torch.ones_like(draws)

    def loss(low: float, median: float, high: float) -> float:
        guess = torch.tensor([low, median, high], dtype=torch.float64).expand(4000, 1, 1, 3)
        return float(patient_losses(guess, draws, known).mean())

    best = loss(0.372, 0.5, 0.628)  # 10 %, 50 %, 90 % of a normal law
    for worse in ((0.32, 0.5, 0.628), (0.42, 0.5, 0.628), (0.372, 0.5, 0.69), (0.372, 0.54, 0.628)):
        assert loss(*worse) > best


def test_the_loss_of_a_patient_grows_with_own_cells_only():
    guess, target = torch.rand(2, 27, 4, 3), torch.rand(2, 27, 4)
    known = torch.zeros(2, 27, 4)
    known[0, 3, 1] = 1
    first = patient_losses(guess, target, known)
    known[1] = 1  # the neighbour answers every week: nothing may change for the first
    second = patient_losses(guess, target, known)
    assert first[1] == 0
    assert torch.equal(first[0], second[0])
