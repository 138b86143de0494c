"""A token is read back whatever hand wrote it, and a slip of the pen is found before a network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.enrolment.token import JoinToken, _check, grouped
from cairn_protocol.errors import InputError
from cairn_protocol.identity import CROCKFORD

HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", fullmatch=True) | st.ip_addresses(
    v=6
).map(str)
TOKENS = st.builds(
    JoinToken,
    secret=st.binary(min_size=16, max_size=16),
    authority=st.binary(min_size=20, max_size=20),
    host=HOSTS,
    port=st.integers(1, 65535),
    expires=st.integers(0, 2**32 - 1).map(lambda s: datetime.fromtimestamp(s, UTC)),
)
ONE = JoinToken(
    bytes(range(16)), bytes(range(20)), "cairn.example.org", 8444, datetime(2030, 1, 1, tzinfo=UTC)
)


def code_of(text: str) -> str:
    with pytest.raises(InputError) as refused:
        JoinToken.parse(text)
    return refused.value.code


@given(TOKENS)
def test_a_token_is_read_back(token: JoinToken) -> None:
    assert JoinToken.parse(str(token)) == token


@given(TOKENS, st.randoms(use_true_random=False))
def test_case_spaces_dashes_and_look_alikes_are_immaterial(token: JoinToken, random) -> None:  # type: ignore[no-untyped-def]
    def hand(character: str) -> str:
        looks = {"0": "0oO", "1": "1iIlL", "-": "- –\n"}
        return random.choice(looks.get(character, character + character.upper()))

    typed = "".join(map(hand, str(token)))
    assert JoinToken.parse(f"  {typed}\n") == token


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_wrong_character_is_found_and_its_group_named(data: st.DataObject) -> None:
    right = str(ONE).replace("-", "")
    at = data.draw(st.integers(0, len(right) - 1))
    wrong = data.draw(st.sampled_from(CROCKFORD.replace(right[at], "")))
    with pytest.raises(InputError) as refused:
        JoinToken.parse(right[:at] + wrong + right[at + 1 :])
    assert refused.value.code == "input.token-mistyped"
    assert f"group {at // 4 + 1}," in refused.value.why


@settings(max_examples=30, deadline=None)
@given(st.integers(0, len(str(ONE).replace("-", "")) - 2))
def test_swapped_neighbours_are_found(at: int) -> None:
    right = str(ONE).replace("-", "")
    swapped = right[:at] + right[at + 1] + right[at] + right[at + 2 :]
    if swapped != right:
        assert code_of(swapped) == "input.token-mistyped"


@settings(deadline=None)
@given(st.text(max_size=300) | st.text(CROCKFORD, max_size=300))
def test_anything_else_is_refused_in_words(text: str) -> None:
    assert code_of(text) == "input.token-mistyped"


def test_a_missing_or_doubled_group_is_found() -> None:
    groups = str(ONE).split("-")
    assert code_of("-".join(groups[1:])) == "input.token-mistyped"
    assert code_of("-".join((*groups[:3], *groups[2:]))) == "input.token-mistyped"
    assert code_of("") == "input.token-mistyped"
    assert code_of("0" * 100_000) == "input.token-mistyped"


def test_a_token_of_another_version_says_so() -> None:
    payload = b"\x02" + bytes(60)
    assert code_of(grouped(payload + _check(payload))) == "input.token-version"


def test_a_whole_token_with_an_impossible_host_is_refused() -> None:
    payload = bytes((1,)) + bytes(4 + 16 + 20) + b"\x20\xfc" + b"not a host"
    assert code_of(grouped(payload + _check(payload))) == "input.token-mistyped"


def test_a_token_does_not_show_its_secret_by_accident() -> None:
    assert ONE.secret.hex() not in repr(ONE)
    assert str(ONE) not in repr(ONE)
    assert replace(ONE, host="::1").host in repr(replace(ONE, host="::1"))


@pytest.mark.parametrize(
    "change", [{"secret": b""}, {"authority": b""}, {"host": "a b"}, {"host": ""}, {"port": 0}]
)
def test_a_token_that_cannot_be_is_not_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"has|not a|host"):
        replace(ONE, **change)  # type: ignore[arg-type]
