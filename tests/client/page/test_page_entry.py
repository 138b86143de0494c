"""Links that open the page: made of a key, good once, for a while; and where the page listens."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_client.page.entry import LINK_SECONDS, Entry, EntryKey
from cairn_client.page.serving import listen
from cairn_client.page.sessions import MOST_SESSIONS, Attempts, Sessions
from cairn_client.sockets import Sockets
from cairn_protocol.errors import InputError

KEY = EntryKey.fresh("http://127.0.0.1:8470")
NOW = 1_800_000_000.0


def token(now: float = NOW, key: EntryKey = KEY) -> str:
    return key.link(now).partition("link=")[2]


def test_a_link_admits_once() -> None:
    entry, one = Entry(KEY, lambda: NOW), token()
    assert entry.admits(one)
    assert not entry.admits(one)
    assert entry.admits(token()), "another one does"


def test_a_link_expires() -> None:
    now = [NOW]
    entry = Entry(KEY, lambda: now[0])
    late, early = token(), token()
    now[0] += LINK_SECONDS
    assert entry.admits(early)
    now[0] += 1
    assert not entry.admits(late)


def test_a_link_of_an_earlier_start_admits_nobody() -> None:
    assert not Entry(KEY, lambda: NOW).admits(token(key=EntryKey.fresh(KEY.address)))


@given(st.text(max_size=120))
def test_junk_admits_nobody(text: str) -> None:
    assert not Entry(KEY, lambda: NOW).admits(text)


@given(at=st.integers(0, 74), other=st.sampled_from("ABCxyz019-_"))
def test_a_changed_link_admits_nobody(at: int, other: str) -> None:
    one = token()
    changed = one[:at] + other + one[at + 1 :]
    entry = Entry(KEY, lambda: NOW)
    if changed != one and at < len(one) - 1:  # of the last character some bits carry nothing
        assert not entry.admits(changed)
    assert entry.admits(one)


def test_the_key_lies_where_only_the_keepers_user_reads(tmp_path: Path) -> None:
    Sockets(tmp_path).make_folders()
    KEY.write(tmp_path)
    (note,) = Sockets(tmp_path).admin.parent.iterdir()
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert EntryKey.read(tmp_path) == KEY
    other = EntryKey.fresh(KEY.address)
    other.remove(tmp_path)
    assert EntryKey.read(tmp_path) == KEY, "another page's own stays"
    KEY.remove(tmp_path)
    with pytest.raises(InputError) as caught:
        EntryKey.read(tmp_path)
    assert caught.value.code == "input.page-none"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"address": "x"}', b'{"key": 7}'])
def test_a_damaged_note_is_no_page(tmp_path: Path, damage: bytes) -> None:
    Sockets(tmp_path).make_folders()
    (Sockets(tmp_path).admin.parent / "page.json").write_bytes(damage)
    with pytest.raises(InputError):
        EntryKey.read(tmp_path)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "example.org", "", "127.0.0.1 "]
)
def test_the_page_listens_on_loopback_alone(address: str) -> None:
    with pytest.raises(InputError) as caught:
        listen(address, 0)
    assert caught.value.code == "input.page-address"
    assert "ssh -L" in caught.value.hint


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_loopback_is_listened_on(address: str) -> None:
    if address == "::1" and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with listen(address, 0) as listener:
        assert listener.getsockname()[0] in ("127.0.0.1", "::1")
        with pytest.raises(InputError) as caught:
            listen(address, listener.getsockname()[1])
        assert caught.value.code == "input.page-port"


def test_attempts_come_back_after_their_time() -> None:
    now = [0.0]
    attempts = Attempts(2, 60.0, lambda: now[0])
    for _ in range(2):
        assert attempts.allowed()
        attempts.failed()
    assert not attempts.allowed()
    now[0] = 60.0
    assert attempts.allowed()


def test_sessions_are_bounded_and_the_oldest_makes_room() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    cookies = []
    for _ in range(MOST_SESSIONS + 1):
        now[0] += 1
        cookies.append(sessions.begin())
    assert sessions.find(cookies[0], active=False) is None
    assert sessions.find(cookies[-1], active=False) is not None
