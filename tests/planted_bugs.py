"""Bugs that would break the promise, each planted into the code that answers at a clinic.

`PLANTS` says for each which question shows it and which of the empirical test's four parts is the
first that must speak. Their names stand in docs/empirical-test.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cairn_client import door
from cairn_models.questions.effect import Effect
from cairn_privacy import bound, question_terms
from cairn_privacy.noise import NoisePlan
from cairn_privacy.sampler import discrete_gaussian
from cairn_protocol.errors import InputError

Steps = NDArray[np.int64]
Plant = Callable[[pytest.MonkeyPatch], None]
CLINICS, SURVIVORS = 5, 4  # of the study that is asked


def noised_by(draw: Callable[[NoisePlan, int], Steps]) -> Plant:
    """The door adds what `draw(plan, size)` gives instead of the sampler's noise."""
    return lambda patch: patch.setattr(
        door, "add_noise", lambda total, plan: total + draw(plan, total.size)
    )


def summed_by(total: Callable[..., Steps]) -> Plant:
    """The door sums with `total(rows, length, bound, grid)`."""

    def real(blocks: Iterable[Any], length: int, c: float, grid: int) -> Steps:
        rows = [block for block in blocks if len(block)]
        return total(np.concatenate([np.zeros((0, length)), *rows]), length, c, grid)

    return lambda patch: patch.setattr(door, "bounded_sum", real)


def _share(steps: Callable[[NoisePlan], float]) -> Plant:
    return noised_by(lambda plan, size: discrete_gaussian(steps(plan), size))


def _same_everywhere() -> Plant:
    """All clinics draw from one seed, which moves on with the round."""
    calls = iter(range(10**9))
    return noised_by(lambda plan, size: _predictable(next(calls) // SURVIVORS, plan, size))


def _same_in_every_round() -> Plant:
    calls = iter(range(10**9))
    return noised_by(lambda plan, size: _predictable(next(calls) % SURVIVORS, plan, size))


def _predictable(seed: int, plan: NoisePlan, size: int) -> Steps:
    drawn = np.random.default_rng(seed).normal(0, plan.clinic_sigma_steps, size)
    return np.rint(drawn).astype(np.int64)


def _uniform(plan: NoisePlan, size: int) -> Steps:
    words = np.frombuffer(os.urandom(8 * size), dtype=np.uint64) / 2.0**64 - 0.5
    return np.rint(words * plan.clinic_sigma_steps * 12**0.5).astype(np.int64)


def _laplace(plan: NoisePlan, size: int) -> Steps:
    words = np.frombuffer(os.urandom(8 * size), dtype=np.uint64) / 2.0**64 - 0.5
    drawn = -np.sign(words) * np.log1p(-2 * np.abs(words).clip(0, 0.4999999))
    return np.rint(drawn * plan.clinic_sigma_steps / 2**0.5).astype(np.int64)


def _two_sizes(plan: NoisePlan, size: int) -> Steps:
    """A mixture with the variance and the kurtosis of the normal law, but not its shape."""
    words = np.frombuffer(os.urandom(8 * size), dtype=np.uint64) / 2.0**64
    sizes = np.where(words < 1 / 6, -(3**0.5), np.where(words > 5 / 6, 3**0.5, 0.0))
    return np.rint(sizes * plan.clinic_sigma_steps).astype(np.int64)


def _none_on_biases(plan: NoisePlan, size: int) -> Steps:
    from cairn_models.trajectory.network import layout

    drawn, at = discrete_gaussian(plan.clinic_sigma_steps, size), 0
    for name, shape in layout():
        count = int(np.prod(shape))
        if name.endswith("bias"):
            drawn[at : at + count] = 0
        at += count
    return drawn


def _finite(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    clean: NDArray[np.float64] = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0)
    return clean


def _clips_the_batch(rows: Any, length: int, c: float, grid: int) -> Steps:
    """The mean of a batch is clipped, then taken times the batch: as for gradients elsewhere."""
    if not len(rows):
        return np.zeros(length, dtype=np.int64)
    mean = _finite(rows).clip(-1e6, 1e6).mean(axis=0, keepdims=True)
    return bound.bounded_rows(mean, c, grid)[0] * len(rows)


def _clips_each_layer(rows: Any, length: int, c: float, grid: int) -> Steps:
    parts = np.array_split(np.arange(length), min(6, length))
    return np.concatenate(
        [bound.bounded_sum([np.ascontiguousarray(rows[:, p])], p.size, c, grid) for p in parts]
    )


def _clips_each_number(rows: Any, length: int, c: float, grid: int) -> Steps:
    return np.trunc(_finite(rows).clip(-c, c) / c * grid).astype(np.int64).sum(axis=0)


def _clips_at_twice_the_bound(rows: Any, length: int, c: float, grid: int) -> Steps:
    return 2 * bound.bounded_sum([rows / 2], length, c, grid)


def _does_not_clip(rows: Any, length: int, c: float, grid: int) -> Steps:
    return np.trunc(_finite(rows).clip(-1e9, 1e9) / c * grid).astype(np.int64).sum(axis=0)


def _rounds_to_nearest(rows: Any, length: int, c: float, grid: int) -> Steps:
    """Rounding away from zero carries a patient past the bound by some steps."""
    small = bound.bounded_rows(rows, c, 1 << 30).astype(np.float64) / (1 << 30)
    return np.rint(small * grid + np.sign(small) * 0.5).astype(np.int64).sum(axis=0)


def _squares_overflow(rows: Any, length: int, c: float, grid: int) -> Steps:
    """The norm of 1e300 is infinite, and what is divided by it becomes something else."""
    with np.errstate(all="ignore"):
        clean = _finite(rows)
        norm = np.sqrt(np.square(clean).sum(axis=1, keepdims=True))
        clipped = np.where(np.isfinite(norm) & (norm > c), clean * (c / norm), clean)
        return np.trunc(clipped.clip(-1e9, 1e9) / c * grid).astype(np.int64).sum(axis=0)


def _lets_nan_through(rows: Any, length: int, c: float, grid: int) -> Steps:
    with np.errstate(all="ignore"):
        norm = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        clipped = rows * np.minimum(1, c / np.where(norm > 0, norm, 1))
        return np.trunc(clipped.sum(axis=0) / c * grid).astype(np.int64)


def _stops_at_nan(rows: Any, length: int, c: float, grid: int) -> Steps:
    if not np.isfinite(rows).all():
        raise InputError("a value is not finite", code="planted")
    return bound.bounded_sum([rows], length, c, grid)


def _counts_twice(rows: Any, length: int, c: float, grid: int) -> Steps:
    return bound.bounded_sum([rows, rows], length, c, grid)


def _last_of_a_block_again(rows: Any, length: int, c: float, grid: int) -> Steps:
    """Blocks that overlap by one patient."""
    return bound.bounded_sum([rows[:8], rows[7:]], length, c, grid)


def _centred(patch: pytest.MonkeyPatch) -> None:
    """The expected change is taken around the clinic's mean baseline, not around a public one."""

    def around_the_mean(self: Effect, baseline: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = baseline.mean() if baseline.size else 0.0
        return self.line.slope * (baseline - mean)

    patch.setattr(Effect, "predicted", around_the_mean)


def _normalised_by_the_mask(patch: pytest.MonkeyPatch) -> None:
    from cairn_models.trajectory import dp_gradient
    from cairn_models.trajectory.loss import patient_losses

    def normalised(raw: Any, cells: Any) -> Any:
        known = cells.score_known
        patients = (known.flatten(1).sum(1) > 0).sum()
        return 30 * patient_losses(raw, cells) * patients / known.sum().clamp(min=1)

    patch.setattr(dp_gradient, "patient_losses", normalised)


def _ledger_told(rho: Callable[[NoisePlan], float]) -> Plant:
    return lambda patch: patch.setattr(NoisePlan, "rho_per_round", property(rho))


def _planned_for_twice_the_epsilon(patch: pytest.MonkeyPatch) -> None:
    real = question_terms.plan_noise
    patch.setattr(question_terms, "plan_noise", lambda epsilon, *rest: real(2 * epsilon, *rest))


def _charged_after_reading(patch: pytest.MonkeyPatch) -> None:
    real = door.Door.answer

    def late(self: door.Door, asked: door.Asked) -> door.Leaving:
        list(self._rows(asked))
        return real(self, asked)

    patch.setattr(door.Door, "answer", late)


def _charged_twice(patch: pytest.MonkeyPatch) -> None:
    real = door.Door._reserve

    def twice(self: door.Door, asked: Any, plan: NoisePlan) -> int:
        real(self, asked, plan)
        return real(self, asked, plan)

    patch.setattr(door.Door, "_reserve", twice)


PLANTS: dict[str, tuple[str, str, Plant]] = {
    # bug: (question, first test that must catch it, plant)
    "noise forgotten": ("effect", "noise", noised_by(lambda plan, size: np.zeros(size, np.int64))),
    "share scaled by root n": (
        "effect",
        "noise",
        _share(lambda plan: plan.sigma * plan.grid / CLINICS**0.5),
    ),
    "share scaled by n": (
        "effect",
        "noise",
        _share(lambda plan: plan.sigma * plan.grid / CLINICS),
    ),
    "colluders counted as honest": (
        "effect",
        "noise",
        _share(lambda plan: plan.sigma * plan.grid / SURVIVORS**0.5),
    ),
    "noise in steps, not in bounds": ("effect", "noise", _share(lambda plan: max(4.0, plan.sigma))),
    "seed shared by clinics": ("effect", "noise", _same_everywhere()),
    "noise reused in every round": ("effect", "noise", _same_in_every_round()),
    "biases without noise": ("trajectory", "noise", noised_by(_none_on_biases)),
    "wrong law: uniform": ("effect", "noise", noised_by(_uniform)),
    "wrong law: Laplace": ("effect", "noise", noised_by(_laplace)),
    "wrong law: three points": ("effect", "noise", noised_by(_two_sizes)),
    "batch clipped, not patients": ("effect", "pull", summed_by(_clips_the_batch)),
    "batch clipped in training": ("trajectory", "pull", summed_by(_clips_the_batch)),
    "each layer clipped": ("trajectory", "pull", summed_by(_clips_each_layer)),
    "each number clipped": ("effect", "pull", summed_by(_clips_each_number)),
    "loss normalised by the mask": ("trajectory", "pull", _normalised_by_the_mask),
    "clipped at 2 C": ("effect", "pull", summed_by(_clips_at_twice_the_bound)),
    "not clipped": ("effect", "pull", summed_by(_does_not_clip)),
    "rounded to nearest": ("effect", "pull", summed_by(_rounds_to_nearest)),
    "squares overflow": ("effect", "pull", summed_by(_squares_overflow)),
    "NaN let through": ("effect", "pull", summed_by(_lets_nan_through)),
    "NaN stops the clinic": ("effect", "pull", summed_by(_stops_at_nan)),
    "patient counted twice": ("effect", "pull", summed_by(_counts_twice)),
    "blocks overlap": ("effect", "pull", summed_by(_last_of_a_block_again)),
    "centred by the clinic's mean": ("effect", "pull", _centred),
    "ledger told of all clinics' noise": (
        "effect",
        "noise",
        _ledger_told(lambda plan: 1 / (2 * plan.sigma**2) * plan.honest / plan.uploads),
    ),
    "noise planned for twice the ε": ("effect", "charge", _planned_for_twice_the_epsilon),
    "charged after reading": ("effect", "charge", _charged_after_reading),
    "charged twice": ("effect", "charge", _charged_twice),
}
