"""Joining through a clinic's proxy, which sees a name, a port and TLS that it cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cairn_client.enrolment import join, status
from cairn_client.outbound import Proxy, proxy_for
from cairn_protocol.errors import CairnError
from enrolment_bench import HOST, Bench, make_clinic, make_home, serving
from proxy_bench import tunnels

NAME = "cairn.example.org"  # which nobody here can look up; the proxy leads it to loopback


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with serving(make_home(tmp_path / "server", hosts=(NAME,))) as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_clinic_joins_through_its_proxy(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    with pytest.raises(CairnError, match="host-unknown"):
        join(oak, token)
    with tunnels() as proxy:
        monkeypatch.setenv("https_proxy", proxy.uri)
        assert join(oak, token).clinic == "oak"
        assert status(oak).state == "enrolled"
    assert set(proxy.asked) == {f"{NAME}:{token.port}"}


def test_a_proxy_that_refuses_and_one_that_is_away(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    with tunnels("403 Forbidden") as proxy:
        monkeypatch.setenv("https_proxy", proxy.uri)
        with pytest.raises(CairnError) as error:
            join(oak, token)
    assert error.value.code == "input.proxy-refuses"
    assert f"403 to CONNECT {NAME}:{token.port}" in error.value.why
    with pytest.raises(CairnError) as error:
        join(oak, token)
    assert error.value.code == "input.proxy-unreachable"


def test_loopback_and_excepted_hosts_go_straight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://192.0.2.1:1")
    monkeypatch.setenv("no_proxy", "example.net")
    assert proxy_for(NAME) == Proxy("192.0.2.1", 1)
    assert [proxy_for(h) for h in (HOST, "::1", "localhost", "a.example.net")] == [None] * 4
    with serving(make_home(tmp_path / "server")) as bench:
        oak = make_clinic(tmp_path / "oak", "oak")
        assert join(oak, replace(bench.token("oak"), host=HOST)).clinic == "oak"


@pytest.mark.parametrize(
    "address", ["socks5://x:1", "http://me:secret@x:1", "http://x:99999999", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", address)
    with pytest.raises(CairnError) as error:
        proxy_for(NAME)
    assert error.value.code == "input.proxy-invalid"
    assert "secret" not in str(error.value) + error.value.hint
