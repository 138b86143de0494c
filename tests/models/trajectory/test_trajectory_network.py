"""The network: equal to torch's own GRU, blind to the future, last value at its start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cairn_models.measures import INSTRUMENTS
from cairn_models.trajectory.columns import COLUMNS, HORIZONS, LAST
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.loss import Cells, patient_losses
from cairn_models.trajectory.network import (
    OUTPUTS,
    CourseNetwork,
    Raw,
    fill,
    flat,
    parameter_count,
    predict,
    untrained,
)
from cairn_models.trajectory.recurrent import HIDDEN, Recurrent, patient_rows

PHQ9 = INSTRUMENTS["PHQ-9"]


def drawn(seed: int = 0) -> CourseNetwork:
    network = untrained()
    fill(network, np.random.default_rng(seed).normal(0, 0.3, parameter_count()).astype(np.float32))
    return network


def gru_and_head(layer: Recurrent, features: int, outputs: int) -> nn.Module:
    """torch's own GRU and linear layer with the parameters of `layer`."""
    own, head = nn.GRU(features, HIDDEN, batch_first=True), nn.Linear(HIDDEN, outputs)
    with torch.no_grad():
        own.weight_ih_l0.copy_(layer.input_weight)
        own.bias_ih_l0.copy_(layer.input_bias)
        own.weight_hh_l0.copy_(layer.recurrent_weight)
        own.bias_hh_l0.copy_(layer.recurrent_bias)
        head.weight.copy_(layer.head_weight)
        head.bias.copy_(layer.head_bias)
    return nn.ModuleDict({"gru": own, "head": head})


def test_the_layer_and_its_way_back_are_those_of_torchs_gru():
    layer = drawn().recurrent
    both = gru_and_head(layer, len(COLUMNS), OUTPUTS)
    x, weight = torch.rand(5, 27, len(COLUMNS)), torch.randn(5, 27, OUTPUTS)
    theirs = both["head"](both["gru"](x)[0])
    ours = layer(x)
    assert torch.allclose(ours, theirs, atol=1e-5)
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    gru = both["gru"]
    same = {
        layer.input_weight: gru.weight_ih_l0,
        layer.input_bias: gru.bias_ih_l0,
        layer.recurrent_weight: gru.weight_hh_l0,
        layer.recurrent_bias: gru.bias_hh_l0,
        layer.head_weight: both["head"].weight,
        layer.head_bias: both["head"].bias,
    }
    for own, other in same.items():
        assert torch.allclose(own.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_the_rows_of_all_patients_add_up_to_the_batch():
    layer = drawn().recurrent
    x, weight = torch.rand(7, 27, len(COLUMNS)), torch.randn(7, 27, OUTPUTS)
    (layer(x) * weight).sum().backward()
    whole = [p.grad.clone() for p in layer.parameters()]
    layer(x)
    rows = patient_rows(layer, weight, torch.zeros(7, parameter_count()))
    for parameter, total in zip(layer.parameters(), whole, strict=True):
        assert rows[parameter].shape == (7, *parameter.shape)
        assert torch.allclose(rows[parameter].sum(0), total, rtol=1e-4, atol=1e-5)


def test_the_size_is_what_the_privacy_plan_was_measured_with():
    assert 10_000 <= parameter_count() <= 12_000


def test_parameters_survive_a_round_trip_and_the_start_is_the_same_for_everyone():
    vector = flat(drawn(3))
    network = CourseNetwork()
    fill(network, vector)
    assert np.array_equal(flat(network), vector)
    assert np.array_equal(flat(untrained()), flat(untrained()))


def test_untrained_it_carries_the_last_value_forward(clinic):
    features = weekly(clinic, PHQ9).features
    found = predict(flat(untrained()), features)
    for scale, column in enumerate(LAST):
        last = np.repeat(features[:, :, column, None], len(HORIZONS), axis=2)
        assert found.median[:, :, scale] == pytest.approx(last)
    assert (found.outcome == 0.5).all()
    assert (found.dropout == 0.5).all()


def test_quantiles_are_in_order_and_in_the_range(clinic):
    found = predict(flat(drawn()), weekly(clinic, PHQ9).features)
    levels = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    for scale in (0, 1):
        quantiles = np.stack([found.quantile(level, scale) for level in levels])
        assert (np.diff(quantiles, axis=0) >= 0).all()
        assert quantiles.min() >= 0
        assert quantiles.max() <= 1


def test_a_half_width_ends_at_the_tenth_and_the_ninetieth(clinic):
    found = predict(flat(untrained()), weekly(clinic, PHQ9).features)
    inside = (found.median[:, :, 0] > 0.2) & (found.median[:, :, 0] < 0.8)
    above = found.quantile(0.9) - found.median[:, :, 0]
    assert above[inside] == pytest.approx(found.above[:, :, 0][inside], abs=1e-6)


def test_a_prediction_does_not_depend_on_later_weeks():
    network, x = drawn(), torch.rand(2, 27, len(COLUMNS))
    later = x.clone()
    later[:, 10:] = 5.0
    for before, after in zip(vars(network(x)).values(), vars(network(later)).values(), strict=True):
        assert torch.equal(before[:, :10], after[:, :10])


def test_a_patients_prediction_is_the_same_bits_in_any_company(clinic):
    vector, features = flat(drawn()), weekly(clinic, PHQ9).features
    whole = predict(vector, features, block=32)
    for name in ("median", "below", "above", "outcome", "dropout"):
        together = getattr(whole, name)
        alone = getattr(predict(vector, features[7:8], block=32), name)
        turned = getattr(predict(vector, features[::-1].copy(), block=32), name)
        assert np.array_equal(alone[0], together[7])
        assert np.array_equal(turned[::-1], together)


def cells(patients: int, weeks: int = 27, **given: torch.Tensor) -> Cells:
    """Cells of zeros, none of them known, but for what is `given`."""
    h = len(HORIZONS)
    shapes = {"score": (weeks, 2, h), "outcome": (weeks, 3, h), "dropout": (weeks, 2)}
    empty = {
        name + of: torch.zeros(patients, *shape)
        for name, shape in shapes.items()
        for of in ("", "_known")
    }
    return Cells(**(empty | given))


def guesses(patients: int, weeks: int = 27, **given: torch.Tensor) -> Raw:
    h = len(HORIZONS)
    score, outcome = (patients, weeks, 2, h), (patients, weeks, 3, h)
    zero = {"median": score, "below": score, "above": score, "outcome": outcome}
    made = {name: torch.zeros(shape) for name, shape in zero.items()}
    return Raw(**(made | {"dropout": torch.zeros(patients, weeks, 2)} | given))


def test_the_loss_is_least_at_the_quantiles_of_the_truth():
    draws = torch.from_numpy(np.random.default_rng(0).normal(0.5, 0.1, 4000)).float()
    truth, known = torch.zeros(4000, 1, 2, 5), torch.zeros(4000, 1, 2, 5)
    truth[:, 0, 0, 0], known[:, 0, 0, 0] = draws, 1.0
    asked = cells(4000, 1, score=truth, score_known=known)

    def loss(below: float, median: float, above: float) -> float:
        parts = {"below": below, "median": median, "above": above}
        made = {name: torch.full((4000, 1, 2, 5), value) for name, value in parts.items()}
        return float(patient_losses(guesses(4000, 1, **made), asked).double().mean())

    best = loss(0.128, 0.5, 0.128)  # 10 %, 50 %, 90 % of a normal law
    for worse in ((0.2, 0.5, 0.128), (0.08, 0.5, 0.128), (0.128, 0.5, 0.2), (0.128, 0.54, 0.128)):
        assert loss(*worse) > best


@pytest.mark.parametrize("kind", ["outcome", "dropout"])
def test_the_loss_of_a_chance_is_least_at_the_share(kind):
    shape = (1000, 1, 3, 5) if kind == "outcome" else (1000, 1, 2)
    truth = torch.zeros(shape)
    truth[:300] = 1.0
    asked = cells(1000, 1, **{kind: truth, f"{kind}_known": torch.ones(shape)})

    def loss(share: float) -> float:
        odds = torch.full(shape, float(np.log(share / (1 - share))))
        return float(patient_losses(guesses(1000, 1, **{kind: odds}), asked).mean())

    assert loss(0.3) < min(loss(0.25), loss(0.35))


def test_the_loss_of_a_patient_grows_with_own_cells_only():
    made = {name: torch.rand(2, 27, 2, 5) for name in ("median", "below", "above")}
    known = torch.zeros(2, 27, 2, 5)
    known[0, 3, 0, 1] = 1
    target = torch.rand(2, 27, 2, 5)
    first = patient_losses(guesses(2, **made), cells(2, score=target, score_known=known))
    everything = known.clone()
    everything[1] = 1  # the neighbour answers every week: nothing may change for the first
    second = patient_losses(guesses(2, **made), cells(2, score=target, score_known=everything))
    assert first[1] == 0
    assert torch.equal(first[0], second[0])
