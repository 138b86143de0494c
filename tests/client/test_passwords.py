"""Reviewers' passwords: what is kept of them, at what cost, and which ones are refused."""

from __future__ import annotations

import pytest

from cairn_client import passwords
from cairn_client.passwords import COST, Cost, check_password, hash_of, is_dated, matches
from cairn_protocol.errors import InputError

GOOD = "correct horse battery"
CHEAP = Cost(memory_kib=64, passes=1, lanes=1)


def test_the_cost_is_the_second_that_rfc_9106_recommends() -> None:
    assert Cost(memory_kib=64 * 1024, passes=3, lanes=4) == COST
    known = hash_of(GOOD)
    assert known.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert matches(GOOD, known)
    assert not is_dated(known)


def test_only_the_same_password_matches() -> None:
    known = hash_of(GOOD, CHEAP)
    assert matches(GOOD, known)
    for other in ("", GOOD + " ", GOOD.upper(), GOOD[:-1]):
        assert not matches(other, known), other


def test_no_two_hashes_are_alike_and_none_holds_the_password() -> None:
    first, second = hash_of(GOOD, CHEAP), hash_of(GOOD, CHEAP)
    assert first != second
    assert GOOD not in first


def test_a_hash_of_another_cost_is_compared_and_called_dated() -> None:
    known = hash_of(GOOD, CHEAP)
    assert matches(GOOD, known)
    assert is_dated(known)
    assert is_dated("no hash")


def test_the_same_characters_from_another_keyboard_are_the_same_password() -> None:
    composed, apart = "für immer und ewig", "fu\u0308r immer und ewig"
    assert composed != apart
    assert matches(apart, hash_of(composed, CHEAP))


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "fewer than 12"),
        ("short words", "fewer than 12"),
        ("a" * 1025, "more than 1024"),
        ("abababababababab", "different characters"),
        ("anna's own password", "the name is in it"),
        ("ANNA'S own password", "the name is in it"),
    ],
)
def test_a_weak_password_is_refused_without_being_told(password: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        check_password("anna", password)
    assert caught.value.code == "input.password-weak"
    assert why in caught.value.why
    assert not password or password not in str(caught.value)


def test_there_is_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", CHEAP)
    check_password("anna", GOOD)
    assert not matches("", hash_of(GOOD))
