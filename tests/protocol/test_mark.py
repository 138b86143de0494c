"""A clinic's mark: who may have made it, and which mark may come after which."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_protocol.errors import OurFault, PeerFault
from cairn_protocol.identity import Identity
from cairn_protocol.mark import NO_HEAD, Mark

BOOT, OTHER_BOOT = b"b" * 16, b"o" * 16


@pytest.fixture
def identity() -> Identity:
    return Identity.generate()


@pytest.fixture
def mark(identity) -> Mark:
    return Mark.sign(identity, 7, BOOT, b"h" * 32)


def test_a_mark_says_what_was_signed_and_by_whom(identity, mark):
    assert (mark.identity, mark.epoch, mark.boot) == (identity.public, 7, BOOT)
    assert mark.ledger_head == b"h" * 32
    assert mark.genuine()
    assert Mark.from_body(mark.body) == mark


def test_no_byte_of_a_mark_can_be_changed(mark):
    for at in range(len(mark.body)):
        changed = bytearray(mark.body)
        changed[at] ^= 1
        assert not Mark.from_body(bytes(changed)).genuine(), at


def test_a_mark_of_one_clinic_is_not_anothers(mark):
    assert not replace(mark, identity=Identity.generate().public).genuine()


def test_a_signature_for_another_purpose_is_no_mark(identity, mark):
    signature = identity.sign("upload", mark.body[:-64])
    assert not replace(mark, signature=signature).genuine()


def test_marks_follow_within_a_boot_and_to_a_later_one(identity, mark):
    assert mark.follows(mark)
    assert Mark.sign(identity, 7, BOOT, b"i" * 32).follows(mark)
    assert Mark.sign(identity, 8, OTHER_BOOT, NO_HEAD).follows(mark)


def test_a_restored_a_copied_and_a_foreign_machine_do_not_follow(identity, mark):
    assert not Mark.sign(identity, 6, BOOT, b"h" * 32).follows(mark)  # an older backup
    assert not Mark.sign(identity, 7, OTHER_BOOT, b"h" * 32).follows(mark)  # a copy
    assert not Mark.sign(Identity.generate(), 8, BOOT, b"h" * 32).follows(mark)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_following_is_transitive_between_honest_boots(first, second, third):
    identity = Identity.generate()
    one, two, three = (
        Mark.sign(identity, n, bytes([n]) * 16, NO_HEAD) for n in (first, second, third)
    )
    if two.follows(one) and three.follows(two):
        assert three.follows(one)
    assert two.follows(one) == (second >= first)


def test_a_mark_that_breaks_its_layout_does_not_exist(mark):
    for field, value in (
        ("identity", b""),
        ("epoch", 1 << 64),
        ("boot", b"x"),
        ("ledger_head", b""),
    ):
        with pytest.raises(OurFault):
            replace(mark, **{field: value})
    with pytest.raises(PeerFault):
        Mark.from_body(mark.body[:-1])
    with pytest.raises(PeerFault):
        Mark.from_body(mark.body + b"\0")
