"""A registry's list of clinics: written by hand, signed, mailed, never half believed."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.member_list import HEAD, MemberList, MemberListFile, fingerprint_typed

BOARD = Identity.generate()
ELM, OAK = (fingerprint(bytes([n]) * 32) for n in (1, 2))
LIST = MemberList.sign(BOARD, "Ethics board of the university", 3, {"oak": OAK, "elm": ELM})


def test_a_list_comes_back_from_its_file() -> None:
    assert LIST.genuine()
    assert MemberList.from_text(LIST.to_text()) == LIST
    mailed = LIST.to_text().replace("\n", "\r\n> ").replace("> ", " ") + "\n\n"
    assert MemberList.from_text(mailed) == LIST, "an e-mail breaks lines as it likes"
    assert [m.clinic for m in LIST.members] == ["elm", "oak"]
    assert LIST.registry_fingerprint == BOARD.fingerprint


def test_no_byte_of_it_can_be_changed() -> None:
    for at in range(len(LIST.body)):
        changed = bytearray(LIST.body)
        changed[at] ^= 1
        with pytest.raises(InputError) as caught:
            MemberList.from_text(f"{HEAD}\n{base64.b64encode(bytes(changed)).decode()}")
        assert caught.value.code == "input.member-list-unusable"


@pytest.mark.parametrize(
    "text", ["", "junk", HEAD, f"{HEAD}\n", f"{HEAD}\n***", LIST.to_text()[:-9], "\x00" * 99]
)
def test_what_is_no_list_is_an_error_with_a_remedy(text: str) -> None:
    with pytest.raises(InputError) as caught:
        MemberList.from_text(text)
    assert "cairn members sign" in caught.value.hint


def test_a_list_under_anothers_key_is_not_the_boards() -> None:
    with pytest.raises(InputError):
        MemberList.from_text(replace(LIST, key=Identity.generate().public).to_text())


@pytest.mark.parametrize(
    "members",
    [{"Oak": OAK}, {"oak": OAK, "elm": OAK}, {"oak": "abcd"}, {"oak": OAK[:-1] + "u"}, {"": OAK}],
)
def test_a_list_that_cannot_stand_is_the_registrys_to_mend(members: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        MemberList.sign(BOARD, "Board", 1, members)
    assert caught.value.hint


@given(st.binary(min_size=32, max_size=32), st.randoms())
def test_a_fingerprint_is_read_however_it_is_typed(key: bytes, random: object) -> None:
    mark = fingerprint(key)
    slips = str.maketrans("01", "oi")
    for typed in (mark.upper(), mark.replace("-", " "), mark.replace("-", ""), f" {mark}\n"):
        assert fingerprint_typed(typed) == mark
        assert fingerprint_typed(typed.lower().translate(slips)) == mark
    assert fingerprint_typed(mark.replace("-", "–").replace("1", "L")) == mark


@pytest.mark.parametrize("typed", ["", "abcd", ELM[:-1], ELM + "0", ELM[:-1] + "u", "é" * 32])
def test_what_is_no_fingerprint_is_named(typed: str) -> None:
    with pytest.raises(InputError) as caught:
        fingerprint_typed(typed, "oak")
    assert caught.value.code == "input.fingerprint-mistyped"
    assert "oak" in caught.value.what


def test_the_file_that_a_registry_writes() -> None:
    source = f'cairn = 1\nregistry = "Board"\nissue = 2\n[members]\noak = "{OAK}"\n'
    file = MemberListFile.parse(source.encode(), "members.toml")
    assert (file.registry, file.issue, file.members) == ("Board", 2, {"oak": OAK})
    for bad in ("issue = 0", 'issue = "two"', "number = 2"):
        with pytest.raises(InputError):
            MemberListFile.parse(source.replace("issue = 2", bad).encode(), "members.toml")
