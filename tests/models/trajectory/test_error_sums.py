"""The error vector: never above its bound, exact without noise, honest intervals with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cairn_models.trajectory.columns import HORIZONS
from cairn_models.trajectory.error_sums import CENTRE, SCALE_ERROR, SCALE_LAST, ErrorSums

PHQ9 = ErrorSums(HORIZONS, 27.0)
ANY = st.floats(allow_nan=True, allow_infinity=True)
EACH = arrays(np.float64, (3, 5), elements=ANY)


@given(EACH, EACH, EACH, arrays(np.bool_, (3, 5)), st.sampled_from([12.0, 27.0, 63.0]))
@settings(max_examples=120, deadline=None)
def test_no_errors_whatever_break_the_bound(model, last, prior, known, span):
    code = ErrorSums(HORIZONS, span)
    rows = code.encode(model, last, prior, known)
    assert np.isfinite(rows).all()
    assert (np.linalg.norm(rows, axis=1) <= code.bound).all()
    assert not rows[~known.any(axis=1)].any()


@pytest.mark.parametrize("horizons", [(4,), (1, 8), (2, 4, 8), HORIZONS])
def test_the_bound_is_reached_and_grows_with_the_horizons(horizons):
    code = ErrorSums(horizons, 27.0)
    worst = np.full((1, len(horizons)), 27.0)
    (row,) = code.encode(worst, 0 * worst, 0 * worst, np.ones(worst.shape, bool))
    assert np.linalg.norm(row) == pytest.approx(code.bound)
    assert len(row) == code.length


def mild(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """(N, 5) errors of three predictors, small enough that nobody is shrunk."""
    model = CENTRE + 0.3 * SCALE_ERROR * rng.standard_normal((n, 5))
    last = model + 0.3 * SCALE_LAST * (0.5 + rng.standard_normal((n, 5)))
    return model, last, model + 0.02 * rng.standard_normal((n, 5)), rng.random((n, 5)) < 0.7


def test_without_noise_and_shrinking_the_estimates_are_the_plain_means():
    model, last, prior, known = mild(np.random.default_rng(0), 300)
    rows = PHQ9.decode(PHQ9.encode(model, last, prior, known).sum(axis=0), 0.0, 10)
    for k, row in enumerate(rows[:5]):
        who = known[:, k]
        assert row.count == pytest.approx(who.sum())
        assert row.model.value == pytest.approx(model[who, k].mean())
        assert row.last.value == pytest.approx(last[who, k].mean())
        assert row.prior.value == pytest.approx(prior[who, k].mean())
        assert row.minus_last.value == pytest.approx((model - last)[who, k].mean())
        assert row.model.noise == 0
    assert rows[5].horizon is None
    assert rows[5].minus_last.value == pytest.approx(
        np.mean([r.minus_last.value for r in rows[:5]])
    )


def test_another_range_scales_everything():
    model, last, prior, known = mild(np.random.default_rng(0), 50)
    other = ErrorSums(HORIZONS, 54.0)
    assert other.encode(2 * model, 2 * last, 2 * prior, known) == pytest.approx(
        PHQ9.encode(model, last, prior, known)
    )


def test_few_patients_are_suppressed_and_so_is_the_mean_over_horizons():
    model, last, prior, known = mild(np.random.default_rng(1), 40)
    known[:, 2] = False
    known[:9, 2] = True
    rows = PHQ9.decode(PHQ9.encode(model, last, prior, known).sum(axis=0), 0.0, 10)
    assert [row.usable for row in rows] == [True, True, False, True, True]
    # A count that the noise alone could have made is no count.
    rows = PHQ9.decode(PHQ9.encode(model, last, prior, known).sum(axis=0), 12.0**2, 1)
    assert not any(row.usable for row in rows)


def heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    """(N, length) rows of a heavy-tailed population: gamma errors, correlated over horizons."""
    person = rng.standard_normal((n, 1))
    wave = 0.7 * person + 0.7 * rng.standard_normal((n, 5))
    model = CENTRE * np.exp(0.45 * wave - 0.1)
    last = np.abs(model + SCALE_LAST * (0.25 + 0.9 * rng.standard_t(4, (n, 5))))
    prior = np.abs(model + 0.1 * rng.standard_normal((n, 5)))
    often = rng.random((n, 1)) < 0.5  # patients measured weekly, and those measured monthly
    known = np.broadcast_to([0, 0, 1, 1, 1], (n, 5)).astype(bool) | often
    return PHQ9.encode(model, last, prior, known & (rng.random((n, 5)) < 0.9))


@pytest.mark.parametrize("multiple", [0.0, 4.7], ids=["no noise", "epsilon 1"])
def test_intervals_cover_what_they_claim(multiple):
    """1,000 studies of 250 held-out patients; the truth is the same weighted mean over 40,000."""
    rng = np.random.default_rng(5)
    people = heavy(rng, 40_000)
    truth = PHQ9.decode(people.sum(axis=0), 0.0, 10)
    sd = multiple * PHQ9.bound
    hits: dict[tuple[int | None, str], list[bool]] = {}
    for _ in range(1_000):
        total = people[rng.integers(0, len(people), 250)].sum(axis=0)
        for row, true in zip(
            PHQ9.decode(total + rng.normal(0, sd, PHQ9.length), sd**2, 10), truth, strict=False
        ):
            if not row.usable or row.horizon != true.horizon:
                continue
            for name in ("model", "last", "minus_last"):
                value, goal = getattr(row, name), getattr(true, name).value
                hit = abs(value.value - goal) <= 1.96 * value.variance**0.5
                hits.setdefault((row.horizon, name), []).append(hit)
    covered = {key: float(np.mean(hit)) for key, hit in hits.items()}
    assert len(covered) == 18
    assert min(covered.values()) > 0.925
    assert 0.93 < np.mean(list(covered.values())) < 0.985
    # Intervals that forget the noise would not cover, so the test can fail.
    if multiple:
        naive = [
            abs(
                PHQ9.decode(t + rng.normal(0, sd, PHQ9.length), 0.0, 10)[3].minus_last.value
                - truth[3].minus_last.value
            )
            <= 1.96 * PHQ9.decode(t, 0.0, 10)[3].minus_last.variance ** 0.5
            for t in (people[rng.integers(0, len(people), 250)].sum(axis=0) for _ in range(300))
        ]
        assert np.mean(naive) < 0.9
