"""Any t shares rebuild the secret, and t − 1 shares fit every secret equally well."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cairn_protocol import shares
from cairn_protocol.errors import OurFault, PeerFault
from cairn_protocol.shares import PRIME, coefficients, deal, from_bytes, rebuild, to_bytes

SECRETS = st.one_of(st.sampled_from([0, 1, PRIME - 1]), st.integers(0, PRIME - 1))
POINTS = st.lists(st.integers(1, 1 << 16), min_size=1, max_size=12, unique=True)


def interpolated(known: dict[int, int], at: int) -> int:
    """The value at `at` of the one polynomial of least degree through `known`: slow and obvious."""
    total = 0
    for x, y in known.items():
        above, below = y, 1
        for other in known:
            if other != x:
                above, below = above * (at - other), below * (x - other)
        total += above * pow(below, PRIME - 2, PRIME)
    return total % PRIME


@given(SECRETS, st.data())
@settings(max_examples=60, deadline=None)
def test_any_t_shares_rebuild_and_lie_on_one_polynomial(secret, data):
    points = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=12, unique=True))
    threshold = data.draw(st.integers(1, len(points)))
    dealt = dict(zip(points, deal(secret, threshold, points), strict=True))
    some = data.draw(st.permutations(points))[:threshold]
    assert rebuild([dealt[x] for x in some], coefficients(some)) == secret
    through = {x: dealt[x] for x in some}
    assert all(interpolated(through, x) == share for x, share in dealt.items())


@given(SECRETS, SECRETS, st.data())
@settings(max_examples=60, deadline=None)
def test_fewer_shares_than_the_threshold_fit_any_other_secret(secret, other, data):
    points = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=12, unique=True))
    dealt = deal(secret, len(points), points)
    known = dict(zip(points[1:], dealt[1:], strict=True))
    # One polynomial goes through these t − 1 shares and any value at 0, and only one.
    forged = interpolated({0: other, **known}, points[0])
    assert rebuild([forged, *dealt[1:]], coefficients(points)) == other
    assert (forged == dealt[0]) == (other == secret)


@pytest.mark.parametrize("secret", [0, PRIME - 1])
def test_two_shares_of_three_needed_are_jointly_uniform_whatever_the_secret(secret):
    dealt = np.array([deal(secret, 3, [1, 2, 9])[:2] for _ in range(8000)], dtype=object)
    for low in (dealt % 16, dealt >> 251):  # lowest and highest four bits
        cells = (low[:, 0] * 16 + low[:, 1]).astype(int)
        assert stats.chisquare(np.bincount(cells, minlength=256)).pvalue > 1e-6


def test_every_deal_is_fresh():
    assert len({tuple(deal(7, 2, [1, 2])) for _ in range(50)}) == 50
    assert len({shares.random_secret() for _ in range(50)}) == 50


@given(st.lists(SECRETS, min_size=1, max_size=8), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_shares_are_the_sum_of_differences_times_binomials(differences, last):
    threshold = len(differences)
    points = [*range(1, threshold), last + threshold]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "_random", lambda count: differences[1:])
        dealt = deal(differences[0], threshold, points)
    assert dealt == [
        sum(d * math.comb(x, k) for k, d in enumerate(differences)) % PRIME for x in points
    ]


def test_the_largest_differences_stay_in_their_slots(monkeypatch):
    # All differences PRIME − 1: P(x) = −Σ_k C(x, k), which is −2^x while x is below the degree.
    monkeypatch.setattr(shares, "_random", lambda count: [PRIME - 1] * count)
    points = range(1, 801)
    dealt = deal(PRIME - 1, 800, points)
    assert all(
        share == -pow(2, x, PRIME) % PRIME for x, share in zip(points[:-1], dealt[:-1], strict=True)
    )
    assert dealt[-1] == (1 - pow(2, 800, PRIME)) % PRIME


def test_a_thousand_clinics_rebuild_from_any_eight_hundred():
    points = range(1, 1001)
    secret = shares.random_secret()
    dealt = deal(secret, 800, points)
    some = random.sample(points, 800)
    assert rebuild([dealt[x - 1] for x in some], coefficients(some)) == secret
    assert rebuild([dealt[x - 1] for x in some[1:]], coefficients(some[1:])) != secret


def test_known_values():
    def share(x: int) -> int:  # 5 + 3x + 2x², and a coefficient −1 at x³
        return (5 + 3 * x + 2 * x**2 - x**3) % PRIME

    assert coefficients([1, 2]) == [2, PRIME - 1]
    assert coefficients([3, 1, 2]) == [1, 3, PRIME - 3]
    assert coefficients([1, 3]) == [3 * pow(2, -1, PRIME) % PRIME, -pow(2, -1, PRIME) % PRIME]
    assert rebuild([share(x) for x in (4, 9, 2, 700)], coefficients([4, 9, 2, 700])) == 5
    assert deal(11, 1, [4, 1, 900]) == [11, 11, 11]


@given(POINTS)
@settings(max_examples=60, deadline=None)
def test_coefficients_are_those_of_lagrange(points):
    expected = []
    for x in points:
        value = 1
        for other in points:
            if other != x:
                value = value * other * pow(other - x, PRIME - 2, PRIME) % PRIME
        expected.append(value)
    assert coefficients(points) == expected


@given(SECRETS)
def test_a_share_has_one_encoding(value):
    assert len(to_bytes(value)) == 32
    assert from_bytes(to_bytes(value)) == value


@pytest.mark.parametrize(
    "data",
    [b"", bytes(31), bytes(33), PRIME.to_bytes(32, "big"), b"\xff" * 32, (2**255).to_bytes(32)],
)
def test_another_encoding_is_refused(data):
    with pytest.raises(PeerFault) as refused:
        from_bytes(data)
    assert refused.value.code == "peer.share-invalid"


@pytest.mark.parametrize("points", [[], [0, 1], [1, 1], [-1, 2], [1, (1 << 16) + 1]])
def test_points_are_distinct_and_from_one(points):
    for refusing in (lambda: deal(5, 1, points), lambda: coefficients(points)):
        with pytest.raises(OurFault) as refused:
            refusing()
        assert refused.value.code == "internal.share-points"
    with pytest.raises(OurFault, match="share-points"):
        rebuild([1, 2], coefficients([1]))


@pytest.mark.parametrize(
    ("secret", "threshold"), [(-1, 2), (PRIME, 2), (5, 0), (5, 3)], ids=["-1", "p", "t=0", "t>n"]
)
def test_a_secret_that_could_not_be_rebuilt_is_not_dealt(secret, threshold):
    with pytest.raises(OurFault) as refused:
        deal(secret, threshold, [1, 2])
    assert refused.value.code == "internal.share-deal"


@pytest.mark.parametrize("drawn", [PRIME, 2**255 - 1], ids=["p", "largest"])
def test_a_draw_beyond_the_field_is_drawn_again(monkeypatch, drawn):
    draws = [((drawn << 1) | 1).to_bytes(32), (6 << 1).to_bytes(32)]
    monkeypatch.setattr(shares.os, "urandom", lambda size: draws.pop(0))
    assert shares.random_secret() == 6
