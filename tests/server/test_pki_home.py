"""Certificates that others accept, keys that nobody else reads, a home that stays as it is."""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from cairn_protocol.enrolment.token import authority_pin
from cairn_protocol.errors import CairnError, InputError
from cairn_protocol.study import parse_toml
from cairn_server import files, pki
from cairn_server.home import Listener, ServerConfig, ServerHome, Waiting, _as_toml
from cairn_server.pki import Authority
from cairn_server.tokens import issue_token
from enrolment_bench import make_home, utc_now

HOSTS = ("cairn.example.org", "192.0.2.7", "2001:db8::7")


def code(call: object) -> str:
    assert callable(call)
    with pytest.raises(CairnError) as error:
        call()
    assert error.value.hint
    return error.value.code


def test_the_certificate_is_for_the_hosts_and_a_year() -> None:
    now, key = utc_now(), pki.new_key()
    authority = Authority.create("team", now)
    certificate = authority.issue(HOSTS, key, now)
    assert pki.hosts_of(certificate) == HOSTS
    assert 364 < pki.days_left(certificate, now) <= 365
    assert certificate.not_valid_before_utc < now, "a clinic's clock may be a little behind"
    assert isinstance(key.curve, ec.SECP256R1)
    certificate.verify_directly_issued_by(authority.certificate)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not basic.ca
    mine = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (mine.ca, mine.path_length) == (True, 0)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_accepts_the_chain_strictly_and_shows_the_pinned_hash(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server", hosts=HOSTS)
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    for option in (["-verify_hostname", HOSTS[0]], ["-verify_ip", HOSTS[1]]):
        done = subprocess.run(
            [*verify, *option, "-CAfile", home.path / "ca.pem", home.certificate],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        ["openssl", "x509", "-in", home.path / "ca.pem", "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    pin = authority_pin(pki.der(home.authority_certificate()))
    assert shown.partition("=")[2].replace(":", "").lower().startswith(pin.hex())


@pytest.mark.parametrize(
    "host", ["https://x", "a b", "", "x:8444", "-x", "a..b", "x" * 300, "ü.de"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    authority = Authority.create("team", utc_now())
    assert code(lambda: authority.issue((host,), pki.new_key(), utc_now())) == "input.host-invalid"


@given(
    st.builds(
        ServerConfig,
        name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
        hosts=st.lists(st.sampled_from(HOSTS), min_size=1, unique=True).map(tuple),
        fleet=st.builds(Listener, port=st.integers(1, 40_000)),
        registry=st.builds(
            Listener, listen=st.sampled_from(HOSTS), port=st.integers(40_001, 65535)
        ),
        waiting=st.builds(
            Waiting,
            to_begin=st.floats(0, 1e9),
            for_all=st.floats(0, 1e9),
            answer=st.floats(1, 1e9),
            grace=st.floats(0, 1e9),
        ),
        store=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=50),
    )
)
def test_the_configuration_is_read_as_it_was_written(config: ServerConfig) -> None:
    assert parse_toml(ServerConfig, _as_toml(config).encode(), where="x") == config


def test_private_keys_are_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        home = make_home(tmp_path / "server")
    finally:
        os.umask(old)
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    for name in ("team.key", "ca.key", "server.key", "store.sqlite"):
        assert stat.S_IMODE((home.path / name).stat().st_mode) == 0o600, name


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server")
    before = {file.name: file.read_bytes() for file in home.path.iterdir()}
    assert code(lambda: make_home(home.path)) == "input.home-exists"
    assert before == {file.name: file.read_bytes() for file in home.path.iterdir()}
    assert code(lambda: files.make_new(home.key, b"x")) == "input.file-exists"
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("x")
    assert code(lambda: make_home(other)) == "input.home-taken"
    assert code(lambda: make_home(tmp_path / "a" / "b")) == "input.home-parent"


def test_an_init_that_was_interrupted_is_told_from_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = files.make_new, [0]

    def dies(path: Path, data: bytes, mode: int = 0o600) -> None:
        if count[0] == stop:
            raise KeyboardInterrupt
        count[0] += 1
        real(path, data, mode)

    monkeypatch.setattr("cairn_server.home.make_new", dies)
    for stop in range(6):
        count[0], path = 0, tmp_path / str(stop)
        with pytest.raises(KeyboardInterrupt):
            make_home(path)
        assert code(lambda p=path: ServerHome.open(p)) == "input.home-incomplete"  # type: ignore[misc]


def test_what_is_wrong_with_a_home_is_said(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server")
    assert ServerHome.open(home.path).config == home.config
    assert code(lambda: ServerHome.open(tmp_path / "nowhere")) == "input.home-missing"
    (home.path / "team.key").chmod(0o640)
    assert code(home.team) == "input.key-exposed"
    (home.path / "team.key").chmod(0o600)
    (home.path / "team.key").write_bytes(b"x")
    assert code(home.team) == "input.team-key-damaged"
    other = make_home(tmp_path / "other")
    (home.path / "ca.key").write_bytes((other.path / "ca.key").read_bytes())
    assert code(home.authority) == "input.authority-damaged"
    (home.path / "ca.key").write_bytes(b"x")
    assert code(home.authority) == "input.authority-damaged"
    home.certificate.write_bytes(b"x")
    assert code(home.server_certificate) == "input.certificate-damaged"
    (home.path / "server.toml").write_text('name = "team"\nhosts = ["https://x"]\n')
    with pytest.raises(InputError) as error:
        ServerHome.open(home.path)
    assert "https://x" in error.value.why


@pytest.mark.parametrize("address", [
    "postgresql://team:hunter2@/cairn?host=/nowhere",
    "postgresql:///cairn?host=/nowhere&password=hunter2",
])  # fmt: skip
def test_a_password_that_others_can_read_is_not_used(tmp_path: Path, address: str) -> None:
    path = make_home(tmp_path).path
    file = path / "server.toml"
    file.write_text(file.read_text().replace('store = ""', f'store = "{address}"'))
    assert file.stat().st_mode & 0o044
    assert code(lambda: ServerHome.open(path).store()) == "input.store-password"
    file.chmod(0o600)
    assert code(lambda: ServerHome.open(path).store()) == "input.store-unavailable"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")
def test_a_home_of_another_user_is_said_to_be_one() -> None:
    look = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from cairn_server.home import ServerHome\n"
        "from cairn_protocol.errors import InputError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: ServerHome.open(Path(sys.argv[1]))\n"
        "except InputError as error: print(error.code)"
    )
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        home = make_home(Path(place) / "server")
        for path in (home.path, home.path / "inside"):
            done = subprocess.run(
                [sys.executable, "-c", look, path], capture_output=True, text=True, check=False
            )
            assert done.stdout.strip() == "input.home-unreadable", done.stderr


def test_renewal_changes_the_certificate_and_nothing_else(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server", now=utc_now() - timedelta(days=364))
    before = {file.name: file.read_bytes() for file in home.path.iterdir()}
    old = home.server_certificate()
    home.renew(utc_now())
    changed = {n for n, data in before.items() if (home.path / n).read_bytes() != data}
    assert changed == {"server.pem"}
    assert {file.name for file in home.path.iterdir()} == set(before)
    assert home.server_certificate().public_key() == old.public_key()
    assert home.server_certificate().not_valid_after_utc > old.not_valid_after_utc
    assert code(lambda: home.renew(utc_now(), ("new.example.org",))) == "input.host-unlisted"
    ssl.create_default_context().load_cert_chain(home.certificate, home.key)


def test_a_renewal_that_cannot_be_written_leaves_the_old_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "server")
    before = home.certificate.read_bytes()

    def full(handle: int, data: bytes) -> None:
        os.close(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(OSError, match="No space"):
        home.renew(utc_now())
    assert home.certificate.read_bytes() == before
    assert not list(home.path.glob(".server.pem*"))


def test_tokens_name_the_first_host_and_live_for_as_long_as_said(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server", hosts=HOSTS)
    with home.store() as store:
        now = utc_now()
        token = issue_token(home, store, "oak", now, days=2)
        assert (token.host, token.port) == (HOSTS[0], 8444)
        assert abs(token.expires - now - timedelta(days=2)) < timedelta(seconds=1)
        (kept,) = store.tokens()
        assert token.secret not in kept.digest
        assert kept.expires == token.expires
        assert code(lambda: issue_token(home, store, "Oak Street", now)) == "input.clinic-name"
        for days in (0, -1, 31):
            assert code(lambda d=days: issue_token(home, store, "x", now, days=d)) == (  # type: ignore[misc]
                "input.token-days"
            )
    assert replace(home).config.fleet_url == "https://cairn.example.org:8443"
    six = home.config.model_copy(update={"hosts": ("2001:db8::7",)})
    assert six.fleet_url == "https://[2001:db8::7]:8443"


def test_both_parts_of_a_server_cannot_listen_at_one_port() -> None:
    def at(listen: str, port: int) -> ServerConfig:
        here = Listener(listen="127.0.0.1", port=9000)
        return ServerConfig(
            name="team",
            hosts=("a.org",),
            fleet=here,
            registry=Listener(listen=listen, port=port),
        )

    for listen in ("127.0.0.1", "0.0.0.0", "::"):
        with pytest.raises(ValueError, match="a port each"):
            at(listen, 9000)
        assert at(listen, 9001)
    assert at("127.0.0.2", 9000)
