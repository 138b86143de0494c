"""The doctor on the way to the server: each fault is a real server or proxy on loopback."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cairn_client.doctor.clock import clock
from cairn_client.doctor.finding import Finding, Level
from cairn_client.doctor.network import Reach, reach
from cairn_client.doctor.site import STEPS, Site
from cairn_client.enrolment import join
from cairn_server.fleet import FleetEndpoint
from cairn_server.pki import Authority
from doctor_bench import (
    HOST,
    SECONDS,
    closed_port,
    deaf,
    http,
    joined,
    levels,
    one,
    plain_server,
    site_of,
    tls_server,
)
from enrolment_bench import make_clinic, make_home, serving
from proxy_bench import tunnels

NAME = "cairn.example.org"  # nobody here can look it up; a proxy leads it to loopback


@pytest.fixture(scope="module")
def team() -> Authority:
    return Authority.create("the research team", datetime.now(UTC))


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def oak(tmp_path: Path) -> Path:
    return make_clinic(tmp_path / "oak", "oak").path


def at(folder: Path, team: Authority, port: int, host: str = HOST) -> Reach:
    """Both of the server's ports at one place."""
    return reach(joined(folder, team, fleet=port, registry=port, host=host))


def first_problem(found: Reach) -> Finding:
    wrong = [f for f in found.findings if f.level == Level.PROBLEM]
    assert wrong, found
    return wrong[0]


def test_a_server_that_is_as_it_should_be(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server")
    fleet = FleetEndpoint(None, HOST, 0, home.certificate, home.key)
    with fleet as endpoint, serving(home) as bench:
        clinic = make_clinic(tmp_path / "oak", "oak")
        join(clinic, bench.token("oak"))
        file = clinic.path / "link" / "link.toml"
        file.write_text(file.read_text().replace(":8443", f":{endpoint.address[1]}"))
        found = reach(site_of(clinic.path))
        assert levels(found.findings) == {
            "network.tls": Level.OK,
            "network.fleet": Level.OK,
            "network.registry": Level.OK,
        }
        assert one(clock(found.ahead, lambda: 0), "clock.server").level == Level.OK


def test_before_joining_the_way_out_is_all_that_can_be_said(oak: Path) -> None:
    found = levels(reach(site_of(oak)).findings)
    assert found == {"network.proxy": Level.OK, "network.server": Level.UNCHECKED}


def test_a_clinic_that_the_registry_does_not_know(tmp_path: Path, oak: Path) -> None:
    home = make_home(tmp_path / "server")
    with serving(home) as bench:
        port = bench.registry.port
        site = joined(oak, home.authority(), fleet=closed_port(), registry=port)
        assert one(reach(site).findings, "policy.not-enrolled").level == Level.PROBLEM


@pytest.mark.parametrize(("hours", "level"), [(1, Level.PROBLEM), (-1, Level.PROBLEM)])
def test_a_server_with_another_date_shows_a_wrong_clock(
    tmp_path: Path, oak: Path, team: Authority, hours: int, level: Level
) -> None:
    def answer() -> bytes:
        return http(datetime.now(UTC) + timedelta(hours=hours))

    with tls_server(tmp_path / "s", team, reply=answer) as server:
        found = at(oak, team, server.port)
    assert found.ahead == pytest.approx(-3600 * hours, abs=3)
    said = one(clock(found.ahead, lambda: 0), "clock.server")
    assert said.level == level
    assert ("behind" if hours > 0 else "ahead of") in said.what


def test_an_answer_without_a_date_is_no_fleets(tmp_path: Path, oak: Path, team: Authority) -> None:
    with tls_server(tmp_path / "s", team, reply=lambda: http(dated=False)) as server:
        found = at(oak, team, server.port)
    assert one(found.findings, "network.fleet").level == Level.PROBLEM
    assert found.ahead is None


@pytest.mark.parametrize(
    ("days", "code"),
    [(-800, "input.certificate-expired"), (30, "input.certificate-not-yet-valid")],
)
def test_a_certificate_of_another_time(
    tmp_path: Path, oak: Path, team: Authority, days: int, code: str
) -> None:
    begins = datetime.now(UTC) + timedelta(days=days)
    with tls_server(tmp_path / "s", team, begins=begins) as server:
        found = first_problem(at(oak, team, server.port))
    assert found.code == code
    assert f"{datetime.now(UTC):%Y-%m-%d}" in found.why, "with this machine's clock beside it"


def test_a_certificate_that_ends_soon_is_said_before_it_does(
    tmp_path: Path, oak: Path, team: Authority
) -> None:
    year = team.issue([HOST], team.key, datetime.now(UTC))
    life = year.not_valid_after_utc - datetime.now(UTC)
    begins = datetime.now(UTC) - life + timedelta(days=3)
    with tls_server(tmp_path / "s", team, begins=begins) as server:
        found = at(oak, team, server.port).findings
    assert next(f.level for f in found if f.code == "network.certificate-ends") == Level.WARNING


def test_a_certificate_for_another_name(tmp_path: Path, oak: Path, team: Authority) -> None:
    with tls_server(tmp_path / "s", team, hosts=("other.example.org",)) as server:
        found = first_problem(at(oak, team, server.port))
    assert found.code == "input.host-name-differs"
    assert "other.example.org" in found.why


def test_a_server_of_another_authority_and_one_that_opens_tls(
    tmp_path: Path, oak: Path, team: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall that opens TLS shows a chain of its own, through a proxy or without one."""
    firewall = Authority.create("Firewall of the hospital", datetime.now(UTC))
    with tls_server(tmp_path / "s", firewall, hosts=(HOST, NAME)) as server:
        straight = first_problem(at(oak, team, server.port))
        with tunnels() as proxy:
            monkeypatch.setenv("https_proxy", proxy.uri)
            through = first_problem(at(oak, team, server.port, NAME))
    for found in (straight, through):
        assert found.code == "peer.authority-differs"
        assert "Firewall of the hospital" in found.why
        assert "TLS inspection" in found.remedy


def test_what_speaks_no_tls(oak: Path, team: Authority) -> None:
    with plain_server() as port:
        found = first_problem(at(oak, team, port))
    assert found.code == "peer.not-tls"


def test_nobody_listens_and_nobody_is_called_so(oak: Path, team: Authority) -> None:
    assert first_problem(at(oak, team, closed_port())).code == "input.server-not-running"
    found = first_problem(at(oak, team, 8443, "no-such-host.invalid"))
    assert found.code in {"input.host-unknown", "input.server-silent"}


def test_a_server_that_never_answers_costs_a_short_time(oak: Path, team: Authority) -> None:
    began = time.monotonic()
    with deaf() as port:
        found = first_problem(at(oak, team, port))
    assert found.code == "input.server-silent"
    assert "firewall" in found.why
    assert time.monotonic() - began < 2 * (STEPS + 1) * SECONDS


def test_a_name_service_that_hangs_costs_a_short_time(
    oak: Path, team: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(5))
    began = time.monotonic()
    assert first_problem(at(oak, team, 8443, NAME)).code == "input.server-silent"
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        ("407 Proxy Authentication Required", "input.proxy-authentication", "407"),
        ("403 Forbidden", "input.proxy-refuses", "403"),
    ],
)
def test_a_proxy_that_asks_for_a_password_and_one_that_refuses(
    oak: Path, team: Authority, monkeypatch: pytest.MonkeyPatch, status: str, code: str, word: str
) -> None:
    with tunnels(status) as proxy:
        monkeypatch.setenv("https_proxy", proxy.uri)
        found = first_problem(at(oak, team, 8443, NAME))
    assert found.code == code
    assert word in found.why
    assert "ask your IT" in found.remedy


def test_a_proxy_that_is_away(oak: Path, team: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://{HOST}:{closed_port()}")
    assert first_problem(at(oak, team, 8443, NAME)).code == "input.proxy-unreachable"


def test_a_proxys_password_is_never_repeated(
    oak: Path, team: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://ada:TOPSECRET@proxy.example.org:3128")
    for found in (reach(site_of(oak)), at(oak, team, 8443, NAME)):
        assert first_problem(found).code == "input.proxy-invalid"
        assert "TOPSECRET" not in str(found)


def test_a_damaged_authority_and_link_file_stop_nothing_else(oak: Path, team: Authority) -> None:
    site: Site = joined(oak, team, fleet=1, registry=1)
    (site.link / "ca.pem").write_bytes(b"no certificate")
    assert set(levels(reach(site).findings).values()) <= {Level.UNCHECKED, Level.PROBLEM}
    (site.link / "link.toml").write_text("fleet = 3")
    assert first_problem(reach(site)).code == "input.file-invalid"
    with pytest.raises(ValueError, match="PEM"):
        ssl.PEM_cert_to_DER_cert("no certificate")


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 15
