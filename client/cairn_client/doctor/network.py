"""`reach`: the way to the research team's server, step by step, each within a short time.

Proxy, name, connection, TLS by the authority that the clinic joined, then what the server says:
the fleet its date, the registry whether it knows this clinic. Nothing is sent before TLS held.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor.finding import Finding, ok, problem, refused, unchecked, warning
from cairn_client.doctor.site import STEPS, Site, limited
from cairn_client.enrolment import LARGEST_FILE, LinkConfig, LinkFolder
from cairn_client.key_source import key_source
from cairn_client.outbound import proxy_for
from cairn_client.pinned_tls import authority_behind, shown_by, shown_chain, verified
from cairn_client.registry_call import RegistryCall
from cairn_protocol.enrolment.token import authority_pin
from cairn_protocol.errors import CairnError, InputError
from cairn_protocol.identity import Identity
from cairn_protocol.study import read_bounded

SOON: Final = timedelta(days=14)
LONGEST_NAME: Final = 80
FLEET_PORT: Final = 443
ENROLLED: Final = "enrolled"


@dataclass(frozen=True)
class Reach:
    """What was found on the way, and by how many seconds this clock is ahead of the server's."""

    findings: tuple[Finding, ...]
    ahead: float | None = None


@dataclass(frozen=True)
class Endpoint:
    """One of the server's two ports."""

    name: str
    host: str
    port: int

    @property
    def where(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"


def reach(site: Site) -> Reach:
    """Fleet and registry of the server that the clinic joined."""
    if not site.joined:
        told = "the clinic has not joined: there is no server to reach"
        return Reach((*_environment(), unchecked("network.server", told)))
    try:
        config = LinkFolder(site.link).config()
        pem = read_bounded(site.link / "ca.pem", LARGEST_FILE)
        authority = ssl.PEM_cert_to_DER_cert(pem.decode("ascii", "replace"))
    except PermissionError:
        return _not_ours()
    except InputError as error:
        if isinstance(error.__context__, PermissionError):
            return _not_ours()
        return Reach((refused(error),))
    except ValueError:
        return Reach((unchecked("network.server", "the authority's certificate is damaged"),))
    fleet, registry = endpoints(config)
    found, ahead = [*_way(site, fleet, authority)], None
    if all(finding.level != "problem" for finding in found):
        said, ahead = _fleet(site, fleet, authority)
        found.append(said)
    there = [*_way(site, registry, authority)]
    if all(finding.level != "problem" for finding in there):
        there.append(_registry(site, registry, authority))
    return Reach((*found, *there), ahead)


def endpoints(config: LinkConfig) -> tuple[Endpoint, Endpoint]:
    """Fleet and registry, as link.toml names them."""
    parts = urlsplit(config.fleet)
    fleet = Endpoint("fleet", parts.hostname or "", parts.port or FLEET_PORT)
    return fleet, Endpoint("registry", config.registry_host, config.registry_port)


def _not_ours() -> Reach:
    told = "only the link's user may read where the server is; ask as root"
    return Reach((unchecked("network.server", told),))


def _environment() -> Iterator[Finding]:
    """The proxy, as far as it can be judged without knowing where to."""
    try:
        proxy = proxy_for("cairn.invalid")
    except InputError as error:
        yield refused(error)
        return
    by = f"through the proxy {proxy.host}:{proxy.port}" if proxy else "straight, without a proxy"
    yield ok("network.proxy", f"this machine connects outwards {by}")


def _way(site: Site, end: Endpoint, authority: bytes) -> Iterator[Finding]:
    """From here to TLS that held; it ends at the first problem."""
    try:
        proxy = proxy_for(end.host)
        if proxy is None:
            limited(lambda: socket.getaddrinfo(end.host, end.port), site.seconds)
        limited(
            lambda: authority_behind(
                end.host, end.port, authority_pin(authority), seconds=site.seconds
            ),
            STEPS * site.seconds,
        )
        chain = limited(lambda: _chain(site, end, authority), STEPS * site.seconds)
    except CairnError as error:
        found = refused(error)
        yield _intercepted(site, end, found) if found.code == "peer.authority-differs" else found
    except socket.gaierror:
        yield problem(
            "input.host-unknown",
            f"no machine is called {end.host}",
            why="the name is not known here",
            remedy="is this machine on line? Does it ask the right name server? If so, ask the "
            "research team whether the name is right",
        )
    except TimeoutError:
        yield problem(
            "input.server-silent",
            f"{end.where} ({end.name}) does not answer in time",
            why="the name server, a proxy or a firewall lets the connection hang",
            remedy=f"ask your IT to allow outgoing TCP connections to {end.host}, port {end.port}",
        )
    except (OSError, ValueError) as error:
        yield problem(
            "input.server-unreachable",
            f"{end.where} ({end.name}) cannot be reached",
            why=type(error).__name__,
            remedy="check this machine's network; ask your IT whether it may connect outwards",
        )
    else:
        by = f", through the proxy {proxy.host}:{proxy.port}" if proxy else ""
        yield ok("network.tls", f"{end.where} ({end.name}) is the team's server{by}")
        yield from _ends(end, chain)


def _chain(site: Site, end: Endpoint, authority: bytes) -> list[bytes]:
    with verified(end.host, end.port, authority, seconds=site.seconds) as connection:
        return list(shown_chain(connection))


def _ends(end: Endpoint, chain: list[bytes]) -> Iterator[Finding]:
    ends = x509.load_der_x509_certificate(chain[0]).not_valid_after_utc
    if datetime.now(UTC) + SOON >= ends:
        yield warning(
            "network.certificate-ends",
            f"the certificate of {end.where} ends on {ends:%Y-%m-%d %H:%M} UTC",
            remedy="tell the research team: cairn server init --renew-certificate",
        )


def _intercepted(site: Site, end: Endpoint, found: Finding) -> Finding:
    """With the name of whoever signed what was shown: a firewall's own authority names itself."""
    try:
        chain = limited(lambda: shown_by(end.host, end.port, site.seconds), STEPS * site.seconds)
        issuer = x509.load_der_x509_certificate(chain[-1]).issuer.rfc4514_string()
    except (CairnError, OSError, ValueError, IndexError):
        return found
    name = "".join(c for c in issuer if c.isprintable())[:LONGEST_NAME]
    return replace(found, why=f"{found.why}; whoever signed it is called “{name}”")


def _fleet(site: Site, end: Endpoint, authority: bytes) -> tuple[Finding, float | None]:
    """What the fleet's port answers, and how far ahead of its date this clock is."""

    def asked() -> tuple[int, str]:
        with verified(end.host, end.port, authority, seconds=site.seconds) as connection:
            host = f"[{end.host}]" if ":" in end.host else end.host
            connection.sendall(
                f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = http.client.HTTPResponse(connection, method="GET")
            answer.begin()
            return answer.status, answer.getheader("Date", "") or ""

    before = time.time()
    try:
        status, date = limited(asked, STEPS * site.seconds)
        told = parsedate_to_datetime(date) if date else None
    except (CairnError, OSError, ValueError, http.client.HTTPException):
        status, told = 0, None
    if told is None:
        return (
            problem(
                "network.fleet",
                f"{end.where} does not answer as a Cairn server's fleet does",
                why=f"it answered HTTP {status} without a date" if status else "it broke off",
                remedy="compare fleet in link/link.toml with the research team",
            ),
            None,
        )
    middle = (before + time.time()) / 2
    ahead = middle - told.timestamp() - 0.5  # the date is cut off to a second
    return ok("network.fleet", f"the fleet at {end.where} answers"), ahead


def _registry(site: Site, end: Endpoint, authority: bytes) -> Finding:
    """Whether the registry knows this clinic, and speaks its version."""
    try:
        identity = _identity(site)
        if identity is None:
            return unchecked("network.registry", "the identity key is not here to ask with")
        call = RegistryCall(end.host, end.port, authority, site.seconds)
        status = limited(lambda: call.status(identity), STEPS * site.seconds)
    except TimeoutError:
        return problem(
            "input.server-silent",
            f"{end.where} (registry) does not answer in time",
            remedy="ask again; if it stays so, tell the research team",
        )
    except CairnError as error:
        return refused(error)
    if status.state != ENROLLED:
        return problem(
            "policy.not-enrolled",
            f"the server says that this clinic is {status.state}",
            remedy="ask the research team; to join again: remove the folder link/, then "
            "cairn clinic join with a new token",
        )
    return ok("network.registry", f"the registry at {end.where} knows {status.clinic}")


def _identity(site: Site) -> Identity | None:
    """The key with which the registry is asked, if it is here and this user may use it."""
    try:
        if key_source(site.state) is None:
            return None
        return ClinicFolder(site.path, site.config).identity()
    except PermissionError:
        return None
    except InputError as error:
        if isinstance(error.__context__, PermissionError):
            return None
        raise
