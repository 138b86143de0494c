"""Gradients per patient: against one backward pass a patient, and pure to the last bit."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from cairn_models.measures import INSTRUMENTS
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.dp_gradient import BLOCK, blocks, patient_gradients, per_patient
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.loss import DROPOUT, FEW, as_cells, patient_losses
from cairn_models.trajectory.network import CourseNetwork, fill, parameter_count
from cairn_models.trajectory.space import Space
from cairn_models.trajectory.targets import targets

PHQ9 = INSTRUMENTS["PHQ-9"]


def network_at(seed: int = 0) -> CourseNetwork:
    network = CourseNetwork()
    fill(network, np.random.default_rng(seed).normal(0, 0.2, parameter_count()).astype(np.float32))
    return network


def gradients(records: Records, network: CourseNetwork | None = None) -> np.ndarray:
    """(N, d), one row a patient of `records`."""
    weeks = weekly(records, PHQ9)
    model = per_patient(network or network_at())
    parts = blocks(weeks, np.arange(len(weeks)), PHQ9, HORIZONS)
    return np.concatenate([patient_gradients(model, block) for block in parts])


def test_equal_to_one_backward_pass_a_patient(clinic):
    network = network_at()
    fast = gradients(clinic, network_at())
    weeks = weekly(clinic, PHQ9)
    cells = as_cells(targets(weeks, PHQ9))
    for i in range(len(weeks)):
        network.zero_grad()
        one = torch.tensor([i])
        features = torch.from_numpy(weeks.features)[one]
        patient_losses(network(features), cells.take(one)).sum().backward()
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
    # Nobody who has one score only trains but by the measurement that was lost after it.
    for scores in ([], [(20.0, 12.0)], [(19.0, 12.0), (22.0, 9.0)]):
        assert not gradients(added(clinic, "zz", scores))[-1].any()


def test_a_block_is_always_as_large(clinic):
    weeks = weekly(clinic, PHQ9)
    (block,) = blocks(weeks, np.arange(5), PHQ9, HORIZONS)
    assert block.patients == 5
    assert block.features.shape[0] == block.cells.score.shape[0] == BLOCK
    assert list(blocks(weeks, np.arange(0), PHQ9, HORIZONS)) == []


def test_one_more_cell_adds_that_cells_gradient_and_rescales_by_the_patients_own_count(added):
    """Division by the cells of a block would tie a patient's gradient to the others'."""
    network = network_at()
    # Cells: week 0 → 1, week 1 → 9; and each time whether measurement was lost afterwards.
    both = [(0.0, 12.0), (1.0, 9.0), (9.0, 3.0)]
    weeks = weekly(added(Records(), "p", both), PHQ9)
    model = per_patient(network)

    def row(horizons: tuple[int, ...]) -> np.ndarray:
        (block,) = blocks(weeks, np.arange(1), PHQ9, horizons)
        return patient_gradients(model, block)[0].copy()

    def cells(scores: int) -> float:
        return scores + DROPOUT * 3 + FEW

    whole = row((1, 8)) * cells(2) + row((2,)) * cells(0)  # at horizon 2 there is no score
    assert whole == pytest.approx((row((1,)) + row((8,))) * cells(1), abs=1e-5)


def test_in_a_space_a_row_is_the_gradient_along_its_directions(clinic):
    basis = np.random.default_rng(3).normal(0, 0.1, (6, parameter_count())).astype(np.float32)
    space = Space(np.zeros(parameter_count(), dtype=np.float32), basis)
    weeks = weekly(clinic, PHQ9)
    (block,) = blocks(weeks, np.arange(len(weeks)), PHQ9, HORIZONS)
    model = per_patient(network_at())
    rows = patient_gradients(model, block)
    assert patient_gradients(model, block, space) == pytest.approx(rows @ basis.T, abs=1e-4)


@pytest.mark.soak
def test_forty_rounds_of_860_patients_fit_in_twenty_seconds():
    weeks = weekly(generate(World(), [860], seed=5)[0], PHQ9)
    prepared = list(blocks(weeks, np.arange(len(weeks)), PHQ9, HORIZONS))
    model = per_patient(network_at())
    start = time.process_time()
    for _ in range(40):
        for block in prepared:
            patient_gradients(model, block)
    assert time.process_time() - start < 20
