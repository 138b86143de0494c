"""`authority_behind`: the certificate authority of a server, if it is the one that a token names.

Nothing is sent before it. The first connection only looks at the chain that the server shows and
takes from it the certificate whose hash the token holds; the second verifies the server against
that authority alone, with its name and dates. Each way in which this fails is the business of
another person, so each has its own words.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from cryptography import x509

from cairn_client.outbound import connect
from cairn_protocol.enrolment.token import authority_pin, grouped
from cairn_protocol.errors import CairnError, InputError, PeerFault

CONNECT_SECONDS: Final = 10.0
# X.509 verification results of OpenSSL
_NOT_YET, _EXPIRED, _HOST, _ADDRESS = 9, 10, 62, 64


def authority_behind(
    host: str, port: int, pin: bytes, *, seconds: float = CONNECT_SECONDS
) -> bytes:
    """The authority's certificate in DER, after the server at `host` proved to be one of its own.

    Raises:
        PeerFault: `peer.authority-differs`, `peer.certificate-invalid`, `peer.not-tls`.
        InputError: `input.certificate-expired`, `input.certificate-not-yet-valid`,
            `input.host-name-differs`, and what `reaching` and `outbound.connect` raise.
    """
    chain = shown_by(host, port, seconds)
    authority = next((der for der in chain if authority_pin(der) == pin), None)
    if authority is None:
        shown = grouped(authority_pin(chain[-1])) if chain else "none"
        raise PeerFault(
            f"{host}:{port} is not the server that the token names",
            code="authority-differs",
            why=f"its certificate authority is {shown}, the token's {grouped(pin)}; somebody may "
            "stand in between, for example a firewall that opens TLS, or the token may be for "
            "another server",
            hint="nothing was sent; compare the authority's fingerprint with the research team by "
            "telephone, and have your IT exempt this address from TLS inspection",
        )
    try:
        with verified(host, port, authority, seconds=seconds):
            return authority
    except ssl.SSLCertVerificationError as error:
        _not_verified(error, host, port, chain)


def shown_by(host: str, port: int, seconds: float) -> Sequence[bytes]:
    """The certificates that whoever answers there shows, in DER. They prove nothing.

    Raises:
        PeerFault: `peer.not-tls`.
        InputError: what `reaching` and `outbound.connect` raise.
    """
    # Only to look at what is shown: nothing is sent.
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname = False
    looking.verify_mode = ssl.CERT_NONE
    with _handshake(looking, host, port, seconds) as connection:
        return shown_chain(connection)


@contextmanager
def verified(host: str, port: int, authority: bytes, *, seconds: float) -> Iterator[ssl.SSLSocket]:
    """A connection to a server that has a certificate of this authority (DER), and of no other.

    Raises:
        ssl.SSLCertVerificationError: it has none, for this name and this day.
        PeerFault: `peer.not-tls`.
        InputError: what `reaching` and `outbound.connect` raise.
    """
    verifying = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verifying.minimum_version = ssl.TLSVersion.TLSv1_3
    verifying.load_verify_locations(cadata=authority)
    with _handshake(verifying, host, port, seconds) as connection:
        yield connection


def shown_chain(connection: ssl.SSLSocket) -> Sequence[bytes]:
    """The certificates that a server showed, in DER, its own first."""
    # Public from Python 3.13 on; before, the same method of the same name one attribute deeper.
    source: Any = connection
    if not hasattr(source, "get_unverified_chain"):
        source = source._sslobj
    return tuple(
        one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes())
        for one in source.get_unverified_chain() or ()
    )


@contextmanager
def reaching(host: str, port: int, seconds: float) -> Iterator[None]:
    """Turns what a connection attempt raises into words.

    Raises:
        InputError: `input.host-unknown`, `input.server-not-running`, `input.server-silent`,
            `input.server-unreachable`.
    """
    try:
        yield
    except (CairnError, ssl.SSLError):
        raise
    except socket.gaierror:
        raise InputError(
            f"no machine is called {host}",
            code="host-unknown",
            why="the name is not known here",
            hint="is this machine on line? If so, tell the research team: the token holds the name",
        ) from None
    except ConnectionRefusedError:
        raise InputError(
            f"nothing answers at {host}:{port}",
            code="server-not-running",
            why="the machine is there, but no server listens",
            hint="ask the research team to start it: cairn server run",
        ) from None
    except TimeoutError:
        raise InputError(
            f"{host}:{port} did not answer within {seconds:g} seconds",
            code="server-silent",
            why="most often a firewall drops the connection",
            hint=f"ask your IT to allow outgoing TCP connections to {host}, port {port}",
        ) from None
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be reached",
            code="server-unreachable",
            why=error.strerror or type(error).__name__,
            hint="check this machine's network; ask your IT whether it may connect outwards",
        ) from None


@contextmanager
def _handshake(
    context: ssl.SSLContext, host: str, port: int, seconds: float
) -> Iterator[ssl.SSLSocket]:
    with reaching(host, port, seconds):
        try:
            with (
                connect(host, port, seconds) as plain,
                context.wrap_socket(plain, server_hostname=host) as connection,
            ):
                yield connection
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionResetError) as error:
            raise PeerFault(
                f"what answers at {host}:{port} does not speak TLS as Cairn does",
                code="not-tls",
                why=getattr(error, "reason", None) or type(error).__name__,
                hint="does the token hold the registry's port? Ask the research team",
            ) from None


def _not_verified(
    error: ssl.SSLCertVerificationError, host: str, port: int, chain: Sequence[bytes]
) -> NoReturn:
    mine = x509.load_der_x509_certificate(chain[0])
    clock = f"this machine's clock says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code == _EXPIRED:
        raise InputError(
            "the server's certificate has expired",
            code="certificate-expired",
            why=f"on {mine.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; {clock}",
            hint="if the clock is right, ask the research team to renew it: "
            "cairn server init --renew-certificate",
        )
    if error.verify_code == _NOT_YET:
        raise InputError(
            "the server's certificate is not valid yet",
            code="certificate-not-yet-valid",
            why=f"it begins on {mine.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; {clock}",
            hint="set this machine's clock (timedatectl set-ntp true); if it is right, the "
            "server's is wrong: tell the research team",
        )
    if error.verify_code in {_HOST, _ADDRESS}:
        names = mine.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = (
            *names.get_values_for_type(x509.DNSName),
            *map(str, names.get_values_for_type(x509.IPAddress)),
        )
        raise InputError(
            f"the server's certificate is not for {host}",
            code="host-name-differs",
            why=f"it is for {', '.join(known)}",
            hint="ask the research team to add the name to `hosts` in server.toml and to run "
            "cairn server init --renew-certificate",
        )
    raise PeerFault(
        f"the certificate of {host}:{port} does not hold",
        code="certificate-invalid",
        why=error.verify_message,
        hint="nothing was sent; somebody may stand in between: tell the research team",
    )
