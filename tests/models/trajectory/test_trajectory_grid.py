"""The grid on which gradients travel costs the model nothing that its noise would not hide."""

from __future__ import annotations

import numpy as np
import pytest

from cairn_privacy.bound import bounded_sum
from cairn_privacy.question_terms import QuestionTerms
from cairn_privacy.scale import GRIDS
from cairn_protocol.fixed_point import wire_bytes


def clipped(question, prepared, public) -> np.ndarray:
    """The sum of rows clipped to C, (d,) float64, on no grid."""
    rows = np.concatenate(list(question.contributions(prepared, public)))
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows * np.minimum(1, question.shape.bound / np.maximum(norm, 1e-12))).sum(axis=0)


def test_a_gradient_takes_three_bytes_a_parameter_and_keeps_its_direction(ask, clinic):
    question = ask("course")
    terms = QuestionTerms.of(question.study, question.spec, question.shape, 10)
    assert terms.noise is not None
    assert terms.noise.grid < GRIDS[0]
    assert wire_bytes(terms.length, terms.scale.modulus_bits) == 0.75 * 4 * terms.length
    prepared, public = question.prepare(clinic), question.start({})
    exact = clipped(question, prepared, public)
    rows = question.contributions(prepared, public)
    gridded = bounded_sum(rows, terms.length, question.shape.bound, terms.noise.grid)
    pull = np.linalg.norm(gridded * terms.scale.step - exact)
    assert 0 < pull < 0.02 * np.linalg.norm(exact)
    assert pull < 0.001 * terms.sum_sd * np.sqrt(terms.length)


@pytest.mark.parametrize("grid", [GRIDS[0], GRIDS[-1]])
def test_training_on_a_grid_ends_at_the_same_model(ask, clinic, grid):
    def trained(sums) -> np.ndarray:
        question = ask("course", course={"rounds": 10})
        prepared, public = question.prepare(clinic), question.start({})
        for round_ in range(9):
            public = question.advance(public, sums(question, prepared, public), round_)
        return public

    def on_grid(question, prepared, public) -> np.ndarray:
        rows, bound = question.contributions(prepared, public), question.shape.bound
        return bounded_sum(rows, question.shape.length, bound, grid) * (bound / grid)

    start, exact = ask("course").start({}), trained(clipped)
    assert 0 < np.linalg.norm(trained(on_grid) - exact) < 0.05 * np.linalg.norm(exact - start)
