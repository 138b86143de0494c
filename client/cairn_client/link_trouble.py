"""`trouble_of`: what keeps a link from its server, in the words of whoever can mend it.

Each cause is the business of one person: the clinic's operator, its IT, or the research team. The
hint says which. Nothing of a message's content is ever in it.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from cairn_protocol.errors import CairnError

# How far a clock may be off before the server refuses (Flower: 300 and 5); its date is in seconds.
MOST_BEHIND: Final = 299.0
MOST_AHEAD: Final = 5.0


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and what to do. `patient`: no use in trying again before somebody acts."""

    code: str
    what: str
    hint: str
    patient: bool = False

    def __str__(self) -> str:
        return f"{self.what} [{self.code}]; {self.hint}"

    def as_json(self) -> dict[str, str | bool]:
        """Plain values."""
        return asdict(self)


_KNOWN: Final = (  # of what httpx and the system raise, by cause
    (
        ssl.SSLError,
        Trouble(
            "not-tls",
            "what answers at {server} does not speak TLS 1.3",
            "check the address in link/link.toml; a firewall may stand in between: ask your IT",
            patient=True,
        ),
    ),
    (
        socket.gaierror,
        Trouble(
            "host-unknown",
            "no machine is called {host}",
            "check this machine's network and name service; if they work, ask the research team "
            "for the server's name",
        ),
    ),
    (
        ConnectionRefusedError,
        Trouble(
            "server-not-running",
            "nothing listens at {server}",
            "the research team starts it with `cairn server run`",
        ),
    ),
    (
        (httpx.TimeoutException, TimeoutError),
        Trouble(
            "server-silent",
            "{server} does not answer",
            "this machine's network, or a firewall: ask your IT to allow outgoing connections to "
            "{server}",
        ),
    ),
    (
        (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, ConnectionResetError),
        Trouble(
            "broken-off",
            "the connection to {server} broke off in the middle",
            "it is made again by itself; if this goes on, ask your IT about the line",
        ),
    ),
    (
        ValueError,
        Trouble(
            "not-a-cairn-server",
            "what answers at {server} is not a Cairn server of this version",
            "compare the versions of Cairn on both sides with the research team",
            patient=True,
        ),
    ),
    (
        Exception,
        Trouble(
            "server-unreachable",
            "{server} cannot be reached",
            "check this machine's network; ask your IT whether it may connect outwards",
        ),
    ),
)
_CERTIFICATE: Final = {
    10: Trouble(
        "certificate-expired",
        "the certificate of {server} has expired; this machine's clock says {now}",
        "if the clock is right, the research team renews the certificate",
        patient=True,
    ),
    9: Trouble(
        "certificate-not-yet-valid",
        "the certificate of {server} is not valid yet; this machine's clock says {now}",
        "set this machine's clock (timedatectl set-ntp true); if it is right, the server's is "
        "wrong: tell the research team",
        patient=True,
    ),
    62: Trouble(
        "host-name-differs",
        "the certificate of {server} is for another name",
        "the research team adds the name to server.toml and renews the certificate",
        patient=True,
    ),
    20: Trouble(
        "authority-differs",
        "{server} is not certified by the authority that this clinic joined",
        "somebody may stand in between, for example a firewall that opens TLS: ask your IT; or the "
        "team's server was made anew: ask the team for a new token",
        patient=True,
    ),
    0: Trouble(
        "certificate-invalid",
        "the certificate of {server} does not hold",
        "somebody may stand in between: tell the research team",
        patient=True,
    ),
}
_SAME: Final = {64: 62, 2: 20, 7: 20, 18: 20, 19: 20, 21: 20}  # OpenSSL's other words for it
_REFUSED: Final = {  # by HTTP status
    401: Trouble(
        "not-enrolled",
        "the server does not know this clinic's link, or has revoked it",
        "ask the research team; to join again: remove the folder link/, then "
        "`cairn clinic join` with a new token",
        patient=True,
    ),
    403: Trouble(
        "server-refuses",
        "the server at {server} refuses what this clinic's link says (HTTP 403)",
        "the link stays as it is; compare the versions of Cairn on both sides with the research "
        "team",
        patient=True,
    ),
    409: Trouble(
        "replaced",
        "another link of this clinic has connected to {server} in place of this one",
        "only one machine may run it: stop the link on the other, or on this one if its work has "
        "moved; if you know of no other, tell the research team, since somebody may have this "
        "clinic's key",
        patient=True,
    ),
    413: Trouble(
        "message-too-large",
        "the clinic's reply is larger than the server takes",
        "compare the versions of Cairn on both sides with the research team",
        patient=True,
    ),
} | {
    status: Trouble(
        "not-a-cairn-server",
        f"what answers at {{server}} is not a Cairn server of this version (HTTP {status})",
        "compare the versions of Cairn on both sides with the research team",
        patient=True,
    )
    for status in (400, 404, 405, 422)
}


def trouble_of(error: BaseException, server: str) -> Trouble:
    """The trouble behind `error`, which a call of the server at `server` (host:port) raised."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, CairnError):
            return Trouble(cause.code, cause.what, cause.hint or cause.why)
        if isinstance(cause, ssl.SSLCertVerificationError):
            code = _SAME.get(cause.verify_code, cause.verify_code)
            return _about(_CERTIFICATE.get(code, _CERTIFICATE[0]), server)
        if isinstance(cause, httpx.HTTPStatusError):
            return _status(cause.response, server)
    found = (trouble for kinds, trouble in _KNOWN if any(isinstance(c, kinds) for c in causes))
    return _about(next(found), server)


def _about(trouble: Trouble, server: str) -> Trouble:
    words = {
        "server": server,
        "host": server.rsplit(":", 1)[0],
        "now": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    return replace(trouble, what=trouble.what.format(**words), hint=trouble.hint.format(**words))


def _status(response: httpx.Response, server: str) -> Trouble:
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED and (skew := _clock(response)) is not None:
        way = "ahead of" if skew > 0 else "behind"
        return Trouble(
            "clock",
            f"this machine's clock is {abs(skew):.0f} seconds {way} the server's",
            "set it (timedatectl set-ntp true); if it is right, tell the research team",
            patient=True,
        )
    if (known := _REFUSED.get(status)) is not None:
        return _about(known, server)
    return Trouble(
        "server-busy",
        f"the server at {server} cannot answer now (HTTP {status})",
        "it is asked again by itself; if this goes on, tell the research team",
    )


def _clock(response: httpx.Response) -> float | None:
    """Seconds that this machine's clock is ahead, if that is why the server refused; else None."""
    try:
        told = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    ahead = (datetime.now(UTC) - told).total_seconds()
    return None if -MOST_BEHIND < ahead < MOST_AHEAD else ahead


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and its causes, deepest first: the system knows best what happened."""
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.insert(0, error)
        error = error.__cause__ or error.__context__
    return causes
