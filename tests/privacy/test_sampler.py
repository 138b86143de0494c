"""The sampler against its law: exact reference, goodness of fit, tails, moments, exact decisions.

Thresholds are such that a right sampler fails a whole run less than once in 10^5.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import os
import random
import re
import subprocess
import sys
import time
from decimal import Decimal, getcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from cairn_privacy import sampler
from cairn_privacy.sampler import discrete_gaussian
from cairn_protocol.errors import OurFault

ROOT = Path(__file__).parents[2]
RARE = 1e-7
SIGMAS = [4.0, 4.000001, 5.3, 8.0, 8.01, 31.7, 65_537.25, 113_031.7, 1e8, 2.0**27]


def pmf(sigma: float, reach: int) -> np.ndarray:
    """P(x) for x = −reach … reach."""
    x = np.arange(-reach, reach + 1)
    weights = np.exp(-(x**2) / (2 * sigma**2))
    return weights / weights.sum()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0, 5.3, 8.0, 31.7])
def test_every_integer_has_its_own_probability(sigma: float) -> None:
    count, reach = 400_000, math.ceil(12 * sigma)
    drawn = discrete_gaussian(sigma, count)
    seen = np.bincount(drawn + reach, minlength=2 * reach + 1).astype(float)
    expected = pmf(sigma, reach) * count
    common = expected >= 10
    seen = np.append(seen[common], seen[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    assert stats.chisquare(seen, expected).pvalue > RARE


@pytest.mark.parametrize("sigma", [s for s in SIGMAS if s > 1000])
def test_wide_ones_fit_the_normal_and_use_every_low_bit(sigma: float) -> None:
    drawn = discrete_gaussian(sigma, 200_000)
    assert stats.kstest(special.ndtr((drawn + 0.5) / sigma), "uniform").pvalue > RARE
    low = np.bincount(drawn & 63, minlength=64)
    assert stats.chisquare(low).pvalue > RARE


@pytest.mark.parametrize("sigma", SIGMAS)
def test_moments_and_tails(sigma: float) -> None:
    count = 200_000
    z = discrete_gaussian(sigma, count) / sigma
    assert abs(z.mean()) < 6 / math.sqrt(count)
    assert abs(z.var() - 1) < 6 * math.sqrt(2 / count)
    assert abs((z**3).mean()) < 6 * math.sqrt(15 / count)
    assert abs((z**4).mean() - 3) < 6 * math.sqrt(96 / count)
    for deviations in (3.0, 4.0):
        edge = math.ceil(deviations * sigma)
        beyond = (
            1
            - pmf(sigma, math.ceil(15 * sigma))[math.ceil(15 * sigma) - edge :][
                : 2 * edge + 1
            ].sum()
            if sigma < 100
            else 2 * special.ndtr(-(edge + 0.5) / sigma)
        )
        expected = count * beyond
        seen = int((np.abs(z * sigma) > edge + 0.25).sum())
        assert stats.poisson.sf(seen - 1, expected) > RARE
        assert stats.poisson.cdf(seen, expected) > RARE


def bernoulli_exp(gamma: Fraction, bit) -> bool:
    """Bernoulli(exp(−γ)) exactly: Canonne, Kamath and Steinke 2020, algorithm 1."""
    while gamma > 1:
        if not bernoulli_exp(Fraction(1), bit):
            return False
        gamma -= 1
    k = 1
    while bit(gamma / k):
        k += 1
    return k % 2 == 1


def reference(sigma: Fraction, generator: np.random.Generator) -> int:
    """One exact discrete Gaussian: Canonne, Kamath and Steinke 2020, algorithm 3."""

    def bit(p: Fraction) -> bool:
        return int(generator.integers(p.denominator)) < p.numerator

    t = math.floor(sigma) + 1
    while True:
        offset = int(generator.integers(t))
        if not bernoulli_exp(Fraction(offset, t), bit):
            continue
        blocks = 0
        while bernoulli_exp(Fraction(1), bit):
            blocks += 1
        size = offset + t * blocks
        negative = bool(generator.integers(2))
        if negative and size == 0:
            continue
        if bernoulli_exp((size - sigma**2 / t) ** 2 / (2 * sigma**2), bit):
            return -size if negative else size


def test_it_agrees_with_the_exact_reference() -> None:
    generator = np.random.default_rng(11)
    slow = np.array([reference(Fraction(21, 4), generator) for _ in range(8_000)])
    fast = discrete_gaussian(5.25, 80_000)
    edges = np.arange(-13.5, 14)
    table = [np.histogram(np.clip(x, -13, 13), edges)[0] for x in (slow, fast)]
    assert stats.chi2_contingency(table).pvalue > RARE
    slow_far, fast_far = ((np.abs(x) > 13).mean() for x in (slow, fast))
    assert abs(slow_far - fast_far) < 6 * math.sqrt(0.01 / 8_000)


def test_draws_are_independent_within_and_between_calls() -> None:
    a, b = (discrete_gaussian(1000.0, 100_000) / 1000 for _ in range(2))
    edge = 6 / math.sqrt(a.size)
    assert abs((a * b).mean()) < edge
    for lag in (1, 2, 3, 16):
        assert abs((a[lag:] * a[:-lag]).mean()) < edge
        assert abs((a[lag:] ** 2 * a[:-lag] ** 2).mean() - 1) < 4 * edge
    assert not np.array_equal(a, b)


class Tape:
    """Entropy that was written beforehand, so that one decision can be put on the edge."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.asked: list[int] = []

    def __call__(self, count: int) -> bytes:
        self.asked.append(count)
        part = self.parts.pop(0) if self.parts else os.urandom(count)
        assert len(part) == count
        return part


def exact_acceptance(sigma: float, k: int, i: int) -> Fraction:
    getcontext().prec = 80
    square = Fraction(i * i) / (2 * Fraction(sigma) ** 2)
    power = (-Decimal(square.numerator) / Decimal(square.denominator)).exp()
    return Fraction(4, 5) * 2**k * Fraction(power)


@given(
    sigma=st.floats(4, 1e8),
    k=st.integers(0, 9),
    share=st.floats(0, 1, exclude_max=True),
    side=st.sampled_from([-1, 1]),
)
@settings(max_examples=150, deadline=None)
def test_a_decision_on_the_edge_is_exact(sigma: float, k: int, share: float, side: int) -> None:
    w = 1 << (math.ceil(sigma) - 1).bit_length()
    i = k * w + int(share * w)
    acceptance = exact_acceptance(sigma, k, i)
    assert 0 < acceptance < 1
    edge = int(acceptance * 2**96) + side * 1  # one part in 2^96 from a
    if not 0 <= edge < 2**96:
        return
    tape = Tape((edge % 2**64).to_bytes(8, "little"))
    assert sampler._decide(edge >> 64, k, i, sigma, tape) == (side < 0)


@given(sigma=st.floats(4, 1e8), k=st.integers(0, 9), share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=150, deadline=None)
def test_float_arithmetic_is_far_inside_its_margin(sigma: float, k: int, share: float) -> None:
    w = 1 << (math.ceil(sigma) - 1).bit_length()
    i = k * w + int(share * w)
    scaled = np.float64(i) / sigma
    approximate = 0.8 * 2.0**k * np.exp(-0.5 * scaled * scaled)
    error = abs(Fraction(float(approximate)) - exact_acceptance(sigma, k, i))
    assert error < Fraction(1, 2**45)


def proposal(sigma: float, i: int, k: int, first_bits: int) -> tuple[bytes, bytes]:
    block_bits = (math.ceil(sigma) - 1).bit_length()
    offset = i - (k << block_bits)
    word = (1 << (k + 1 + block_bits)) | offset << 1
    return word.to_bytes(8, "little"), first_bits.to_bytes(4, "little")


@pytest.mark.parametrize("sigma", [4.0, 5.3, 8.0, 100.5])
def test_every_proposal_is_kept_with_the_probability_that_the_law_asks(sigma: float) -> None:
    """The whole law by enumeration: 2^−(k+1)/w · P(kept) is proportional to exp(−i²/2σ²).

    Each proposal is offered with the first 32 bits of u on both sides of its exact acceptance.
    """
    block_bits = (math.ceil(sigma) - 1).bit_length()
    w = 1 << block_bits
    step = 1 if w <= 8 else 7
    for i in range(0, 20 * w, step):
        k = i // w
        exact = exact_acceptance(sigma, k, i)
        law = Fraction(4, 5) * 2**k * Fraction(math.exp(-(i**2) / (2 * sigma**2)))
        assert float(exact / law) == pytest.approx(1, rel=1e-12)
        above = int(exact * 2**32) + 4
        assert sampler._propose(sigma, block_bits, 1, Tape(*proposal(sigma, i, k, above))).size == 0
        if above >= 8:
            tape = Tape(*proposal(sigma, i, k, above - 8))
            assert sampler._propose(sigma, block_bits, 1, tape).tolist() == [i]


@pytest.mark.parametrize(("more", "kept"), [(b"\x00" * 8, True), (b"\xff" * 8, False)])
def test_close_first_bits_are_settled_by_more_bits(more: bytes, kept: bool) -> None:
    sigma, k, i = 100.5, 1, 171
    first_bits = int(exact_acceptance(sigma, k, i) * 2**32)
    tape = Tape(*proposal(sigma, i, k, first_bits), more)
    assert sampler._propose(sigma, 7, 1, tape).tolist() == ([i] if kept else [])
    assert tape.asked == [8, 4, 8]


def test_clear_first_bits_need_no_more() -> None:
    sigma, k, i = 100.5, 1, 171
    first_bits = int(exact_acceptance(sigma, k, i) * 2**32)
    for away, kept in ((-4, [i]), (4, [])):
        tape = Tape(*proposal(sigma, i, k, first_bits + away))
        assert sampler._propose(sigma, 7, 1, tape).tolist() == kept
        assert tape.asked == [8, 4]


def test_a_proposal_without_block_bits_is_dropped() -> None:
    for first in (b"\x00" * 4, b"\xff" * 4):
        assert sampler._propose(4.0, 2, 1, Tape(b"\x07" + bytes(7), first)).size == 0


def test_minus_zero_is_dropped_and_plus_zero_kept() -> None:
    plus = (1 << 3).to_bytes(8, "little")
    minus = (1 << 3 | 1).to_bytes(8, "little")
    for word, kept in ((plus, [0]), (minus, [])):
        assert sampler._propose(4.0, 2, 1, Tape(word, bytes(4))).tolist() == kept


def test_it_is_a_pure_function_of_its_entropy() -> None:
    def stream(label: bytes):
        counter = iter(range(1_000_000))
        return lambda n: hashlib.shake_256(label + next(counter).to_bytes(8, "big")).digest(n)

    a, b, c = (sampler._draw(50.0, 5_000, stream(label)) for label in (b"a", b"a", b"c"))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_nobody_can_hand_it_a_predictable_generator() -> None:
    assert list(inspect.signature(discrete_gaussian).parameters) == ["sigma", "size"]
    packages = ("protocol", "privacy", "models", "client", "server", "app")
    for file in (file for package in packages for file in (ROOT / package).rglob("*.py")):
        source = file.read_text()
        if file.name != "sampler.py":
            assert "sampler._" not in source, file
            assert "_draw" not in source or "cairn_privacy" not in source, file
        if "cairn_privacy" in file.parts:
            assert not re.search(r"np\.random|import random|default_rng", source), file


@pytest.mark.parametrize("sigma", [0.0, 0.49, -4.0, 2.0**27 + 1, math.nan, math.inf])
def test_an_impossible_scale_is_refused(sigma: float) -> None:
    with pytest.raises(OurFault):
        discrete_gaussian(sigma, 3)


def test_sizes() -> None:
    assert discrete_gaussian(4.0, 0).shape == (0,)
    assert discrete_gaussian(4.0, 1).dtype == np.int64
    with pytest.raises(OurFault):
        discrete_gaussian(4.0, -1)


def test_a_hundred_thousand_take_fifty_milliseconds(record_property) -> None:
    """Of CPU, at the deviation that wastes most proposals; `make bench NAME=privacy` has more."""
    best = math.inf
    for _ in range(5):
        start = time.thread_time()
        discrete_gaussian(65_537.0, 100_000)
        best = min(best, time.thread_time() - start)
    record_property("milliseconds_for_100k", best * 1e3)
    assert best <= 0.05


def test_seeds_change_nothing() -> None:
    drawn = []
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)
        drawn.append(discrete_gaussian(1000.0, 50))
    assert not np.array_equal(*drawn)


FORKED = """
import os
from cairn_privacy.sampler import discrete_gaussian
discrete_gaussian(1000.0, 50)
for _ in range(4):
    if os.fork() == 0:
        print(discrete_gaussian(1000.0, 50).tobytes().hex(), flush=True)
        os._exit(0)
    os.wait()
print(discrete_gaussian(1000.0, 50).tobytes().hex())
"""


def test_a_forked_process_draws_its_own_noise() -> None:
    """A generator with a state would give parent and child the same noise."""
    command = [sys.executable, "-c", FORKED]  # a process without threads: only such may fork
    drawn = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert len(set(drawn.split())) == len(drawn.split()) == 5


def test_every_draw_takes_fresh_bytes_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    real = os.urandom
    monkeypatch.setattr(sampler.os, "urandom", lambda n: taken.append(n) or real(n))
    discrete_gaussian(1000.0, 1_000)
    first = sum(taken)
    discrete_gaussian(1000.0, 1_000)
    assert first >= 12 * 1_000
    assert sum(taken) >= first + 12 * 1_000


def test_without_the_systems_randomness_there_is_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(count: int) -> bytes:
        raise OSError("no randomness")

    monkeypatch.setattr(sampler.os, "urandom", none)
    with pytest.raises(OSError, match="no randomness"):
        discrete_gaussian(1000.0, 10)
