"""Gradients per patient: against one backward pass a patient, and pure to the last bit."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.dp_gradient import BLOCK, blocks, patient_gradients, per_patient
from cairn_models.trajectory.features import HORIZONS, weekly
from cairn_models.trajectory.loss import patient_losses
from cairn_models.trajectory.network import CourseNetwork, fill, parameter_count

PHQ9 = INSTRUMENTS["PHQ-9"]


def network_at(seed: int = 0) -> CourseNetwork:
    network = CourseNetwork()
    fill(network, np.random.default_rng(seed).normal(0, 0.2, parameter_count()).astype(np.float32))
    return network


def gradients(records: Records, network: CourseNetwork | None = None) -> np.ndarray:
    """(N, d), one row a patient of `records`."""
    weeks = weekly(records, PHQ9)
    model = per_patient(network or network_at())
    parts = blocks(weeks, np.arange(len(weeks)), HORIZONS)
    return np.concatenate([patient_gradients(model, block) for block in parts])


def test_equal_to_one_backward_pass_a_patient(clinic):
    network = network_at()
    fast = gradients(clinic, network_at())
    weeks = weekly(clinic, PHQ9)
    target, known = weeks.targets()
    for i in range(len(weeks)):
        network.zero_grad()
        one = slice(i, i + 1)
        patient_losses(
            network(torch.from_numpy(weeks.features[one])),
            torch.from_numpy(target[one]),
            torch.from_numpy(known[one].astype(np.float32)),
        ).sum().backward()
        slow = np.concatenate([p.grad.numpy().ravel() for p in network.parameters()])
        assert fast[i] == pytest.approx(slow, abs=1e-5)
    assert np.linalg.norm(fast, axis=1).max() > 0.1  # there was something to compare


def test_removing_any_patient_changes_no_bit_of_another_row(clinic):
    rows = gradients(clinic)
    for k in (0, 31, 59):
        less = gradients(clinic.without(clinic.patients["patient"][k]))
        assert np.array_equal(less, np.delete(rows, k, axis=0))


def test_alone_a_patient_has_the_same_bits_as_in_a_full_clinic(clinic):
    """Without the fixed block a clinic of one takes another path through the arithmetic."""
    rows, patients = gradients(clinic), clinic.patients["patient"].to_list()
    for k in (3, 42):
        alone = clinic
        for other in patients[:k] + patients[k + 1 :]:
            alone = alone.without(other)
        assert np.array_equal(gradients(alone)[0], rows[k])


def test_a_hostile_patient_is_finite_and_changes_no_bit_of_another_row(clinic, hostile):
    rows = gradients(hostile)
    assert np.isfinite(rows).all()
    assert np.array_equal(rows[:-1], gradients(clinic))


def test_who_has_nothing_to_predict_has_a_gradient_of_zero(clinic, added):
    for scores in ([], [(0.0, 12.0)], [(0.0, 12.0), (3.0, 9.0)]):
        assert not gradients(added(clinic, "zz", scores))[-1].any()


def test_a_block_is_always_as_large(clinic):
    weeks = weekly(clinic, PHQ9)
    (block,) = blocks(weeks, np.arange(5), HORIZONS)
    assert block.patients == 5
    assert block.features.shape[0] == block.target.shape[0] == block.known.shape[0] == BLOCK
    assert list(blocks(weeks, np.arange(0), HORIZONS)) == []


def test_one_more_cell_adds_that_cells_gradient_and_rescales_nothing(clinic, added):
    """Division by a patient's own count of cells would shrink the other cells' part."""
    network = network_at()
    both = [(0.0, 12.0), (1.0, 9.0), (9.0, 3.0)]  # cells: week 0 → 1, and week 1 → 9
    weeks = weekly(added(Records(), "p", both), PHQ9)
    model = per_patient(network)

    def row(horizons: tuple[int, ...]) -> np.ndarray:
        (block,) = blocks(weeks, np.arange(1), horizons)
        return patient_gradients(model, block)[0]

    assert row((1, 8)) == pytest.approx(row((1,)) + row((8,)), abs=1e-6)


@pytest.mark.soak
def test_forty_rounds_of_860_patients_fit_in_twenty_seconds():
    weeks = weekly(generate(World(), [860], seed=5)[0], PHQ9)
    prepared = list(blocks(weeks, np.arange(len(weeks)), HORIZONS))
    model = per_patient(network_at())
    start = time.process_time()
    for _ in range(40):
        for block in prepared:
            patient_gradients(model, block)
    assert time.process_time() - start < 20
