"""`Registry`: where clinics join and ask how they stand. gRPC over TLS, nothing else.

G1  The protocol's version is compared before anything else is read.
G2  Calls are limited in number (a peer, all together), size, time and concurrency.
G3  A claim counts only under the signature of the identity that it names, for this authority,
    for the token that came with it, and within two minutes of this server's clock.
G4  A token is used once, in the transaction that enrols the clinic (`cairn_server.enrolling`).
G5  A revoked clinic is refused at the next call. `sweep` carries revocations to the fleet.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, Self

import grpc
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from google.protobuf.message import DecodeError

from cairn_protocol.codec import VERSION
from cairn_protocol.enrolment.statements import (
    CLOCK_TOLERANCE,
    LARGEST_CALL,
    REGISTRY,
    Enrolment,
    JoinClaim,
    Statement,
    StatusQuery,
    token_hash,
)
from cairn_protocol.errors import CairnError, InputError, OurFault, PeerFault, PolicyRefusal
from cairn_protocol.messages import Refusal
from cairn_protocol.proto import registry_pb2 as pb
from cairn_server.home import ServerHome
from cairn_server.pki import RENEWAL_DAYS, days_left, der
from cairn_server.ports import check_port, no_port
from cairn_server.rate_limit import RateLimit
from cairn_server.store import Store
from cairn_server.store_tables import EPOCH, Clinic

CALLS_PER_PEER, CALLS_IN_ALL = 20, 600  # a minute
THREADS: Final = 8
HANDSHAKE_SECONDS: Final = 10
STOP_SECONDS: Final = 2.0
SEEN_AGAIN: Final = timedelta(seconds=20)  # no write to the disk for each heartbeat
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # or a second server would share the port in silence
    ("grpc.max_receive_message_length", LARGEST_CALL),
    ("grpc.max_send_message_length", LARGEST_CALL),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.max_concurrent_streams", 8),
    # A call whose message never comes holds a thread, so no connection lives for long.
    ("grpc.max_connection_idle_ms", 10_000),
    ("grpc.max_connection_age_ms", 20_000),
    ("grpc.max_connection_age_grace_ms", 5_000),
    ("grpc.server_handshake_timeout_ms", 1000 * HANDSHAKE_SECONDS),
)
_OUR_FAULT: Final = OurFault(
    "the research team's server could not answer",
    code="registry-failed",
    hint="tell the team: their server's log says why; the token was not used",
)
log = logging.getLogger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Registry:
    """A context manager: it answers from `with` until its end. `port` is where.

    Args:
        home: keys, certificate and where to listen.
        store: clinics and tokens.
        enrol_node: makes a node of a link's public key (PEM) in the fleet; may be repeated.
        revoke_node: takes a node out of the fleet, called by `sweep`; may be repeated.
        last_seen: when the fleet last heard of a node.
        port: instead of the one in server.toml; 0: a free one.

    Raises:
        InputError: `input.port-in-use`, `input.port-forbidden`, `input.address-foreign`,
            `input.certificate-expired`.
    """

    def __init__(
        self,
        home: ServerHome,
        store: Store,
        *,
        enrol_node: Callable[[bytes], int],
        revoke_node: Callable[[int], None] = lambda node: None,
        last_seen: Callable[[int], datetime | None] = lambda node: None,
        port: int | None = None,
        now: Callable[[], datetime] = _utc_now,
        version: int = VERSION,
        limit: RateLimit | None = None,
    ) -> None:
        self._home, self._store, self._now, self._version = home, store, now, version
        self._enrol_node, self._revoke_node, self._last_seen = enrol_node, revoke_node, last_seen
        self._swept: set[int] = set()  # nodes that the fleet was told of
        self._stuck: set[int] = set()  # and those that it would not hear of
        self._limit = limit or RateLimit(CALLS_PER_PEER, CALLS_IN_ALL, time.monotonic)
        self._team = home.team()
        self._authority = sha256(der(home.authority_certificate())).digest()
        self._check_certificate()
        self._loaded = self._certificate_bytes()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="registry")
        self._server = grpc.server(
            self._pool, options=_OPTIONS, maximum_concurrent_rpcs=2 * THREADS
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.port = self._bind(home.config.registry.port if port is None else port)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.stop(STOP_SECONDS).wait()
        self._pool.shutdown()

    def sweep(self) -> None:
        """Take clinics that were revoked out of the fleet, and note when the others were seen.

        To be called every few seconds: commands write to the store from other processes.
        """
        for clinic in self._store.clinics():
            if clinic.state == "enrolled":
                self._seen(clinic)
            elif clinic.node not in self._swept:
                try:
                    self._revoke_node(clinic.node)
                except CairnError as error:
                    if clinic.node not in self._stuck:  # said once, tried again at every sweep
                        log.warning("cannot take %s out of the fleet yet: %s", clinic.name, error)
                    self._stuck.add(clinic.node)
                    continue
                self._swept.add(clinic.node)
                log.info("revoked: %s", clinic.name)

    # the two calls

    def _join(self, request: pb.JoinRequest) -> pb.JoinReply:
        claim = JoinClaim.from_body(request.claim)
        self._check(claim, claim.identity, request.signature, claim.authority, claim.time)
        if claim.token != token_hash(request.secret):  # G3
            raise PeerFault("the claim is for another token", code="claim-token")
        _check_node_key(claim.node_key)
        self.sweep()  # or a clinic that joins anew would hide its revoked node from the next one
        clinic = self._store.enrol(claim, now=self._now(), enrol_node=self._enrol_node)
        enrolment = Enrolment(
            claim.digest, self._team.public, clinic.node, self._home.config.fleet_url
        )
        log.info("joined: %s", clinic.name)
        return pb.JoinReply(
            enrolled=pb.Enrolled(
                enrolment=enrolment.body, signature=enrolment.signed_by(self._team)
            )
        )

    def _status(self, request: pb.StatusRequest) -> pb.StatusReply:
        query = StatusQuery.from_body(request.query)
        self._check(query, query.identity, request.signature, query.authority, query.time)
        clinic = self._store.clinic_of(query.identity)
        if clinic is None:
            raise PolicyRefusal(
                "this clinic is not enrolled",
                code="not-enrolled",
                why="the research team's server does not know its identity",
                hint="join with a token of the team's: cairn clinic join",
            )
        return pb.StatusReply(
            status=pb.ClinicStatus(
                clinic=clinic.name,
                state=clinic.state,
                enrolled_at=_seconds(clinic.enrolled_at),
                last_seen=_seconds(self._seen(clinic)),
                server_time=_seconds(self._now()),
            )
        )

    def _seen(self, clinic: Clinic) -> datetime | None:
        seen = self._last_seen(clinic.node)
        if seen is None:
            return clinic.last_seen
        if clinic.last_seen is None or seen - clinic.last_seen > SEEN_AGAIN:
            self._store.seen(clinic.name, seen)
        return seen

    def _check(
        self, statement: Statement, identity: bytes, signature: bytes, authority: bytes, time_: int
    ) -> None:
        if not statement.is_from(identity, signature):  # G3
            raise PeerFault("the request is not signed by its sender", code="request-forged")
        if authority != self._authority:  # G3
            raise PeerFault("the request was made for another server", code="request-foreign")
        ahead = time_ - _seconds(self._now())
        if abs(ahead) > CLOCK_TOLERANCE:  # G3
            side = "ahead of" if ahead > 0 else "behind"
            raise InputError(
                f"the clinic's clock is {_duration(abs(ahead))} {side} the server's",
                code="clock-differs",
                why=f"the server's says {self._now():%Y-%m-%d %H:%M} UTC; "
                f"{CLOCK_TOLERANCE} seconds are allowed",
                hint="set the clock of the machine that is wrong (timedatectl set-ntp true), "
                "then try again; nothing was used up",
            )

    # around every call

    def _handlers(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            REGISTRY,
            {
                "Join": self._method(pb.JoinRequest, pb.JoinReply, self._join),
                "Status": self._method(pb.StatusRequest, pb.StatusReply, self._status),
            },
        )

    def _method(self, request: Any, reply: Any, answer: Callable[[Any], Any]) -> Any:
        """A handler that answers bytes with bytes; an exception never reaches gRPC."""

        # gRPC is given no parser: where its own fails, it leaks the stream (grpcio 1.85).
        def call(data: bytes, context: grpc.ServicerContext) -> bytes:
            host = context.peer().rpartition(":")[0]
            try:
                if not self._limit.allows(host):  # G2
                    raise PolicyRefusal(
                        "too many calls in a short time",
                        code="too-many-calls",
                        hint="wait a minute, then try once more",
                    )
                out = answer(self._parsed(request, data))
            except CairnError as error:
                log.warning("refused %s: %s", host, error.code)
                out = reply(refusal=Refusal.of(error).to_bytes())
            except Exception:
                log.exception("a call failed")
                out = reply(refusal=Refusal.of(_OUR_FAULT).to_bytes())
            out.protocol = self._version
            return bytes(out.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(call)

    def _parsed(self, request: Any, data: bytes) -> Any:
        try:
            message = request.FromString(data)
        except DecodeError:
            raise PeerFault("these bytes are not a request", code="malformed") from None
        if message.protocol != self._version:  # G1
            raise _other_version(message.protocol, self._version)
        return message

    # certificate and port

    def _bind(self, port: int) -> int:
        listen = self._home.config.registry.listen
        check_port(listen, port)
        credentials = grpc.dynamic_ssl_server_credentials(
            grpc.ssl_server_certificate_configuration([self._loaded]), self._renewed
        )
        host = f"[{listen}]" if ":" in listen else listen
        try:
            return int(self._server.add_secure_port(f"{host}:{port}", credentials))
        except RuntimeError:
            raise no_port(listen, port, errno.EADDRINUSE) from None

    def _renewed(self) -> Any:
        """The certificate, if it was renewed since the last connection; else None."""
        with suppress(CairnError, OSError):
            loaded = self._certificate_bytes()
            if loaded != self._loaded:
                self._loaded = loaded
                return grpc.ssl_server_certificate_configuration([loaded])
        return None

    def _certificate_bytes(self) -> tuple[bytes, bytes]:
        return self._home.key.read_bytes(), self._home.certificate.read_bytes()

    def _check_certificate(self) -> None:
        left = days_left(self._home.server_certificate(), self._now())
        if left < 0:
            raise InputError(
                "this server's certificate has expired",
                code="certificate-expired",
                why=f"{-left:.0f} days ago, by this machine's clock",
                hint="cairn server init --renew-certificate; clinics notice nothing",
            )
        if left < RENEWAL_DAYS:
            log.warning("the server's certificate ends in %.0f days: renew it", left)


def _check_node_key(pem: bytes) -> None:
    """Refuses what is not a P-384 public key in the one encoding that Flower's server keeps."""
    try:
        key = load_pem_public_key(pem)
        curve = key.curve if isinstance(key, EllipticCurvePublicKey) else None
        same = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) == pem
    except (ValueError, UnsupportedAlgorithm):
        curve, same = None, False
    if not same or not isinstance(curve, SECP384R1):
        raise PeerFault("the key of the clinic's link is not a P-384 key", code="node-key")


def _other_version(theirs: int, ours: int) -> PeerFault:
    older, newer = ("clinic", "server") if theirs < ours else ("server", "clinic")
    return PeerFault(
        f"the clinic speaks protocol version {theirs}, the server {ours}",
        code="version-differs",
        why=f"the {older}'s Cairn is older than the {newer}'s",
        hint=f"update Cairn at the {older}; the token was not used",
    )


def _seconds(at: datetime | None) -> int:
    return 0 if at is None else int((at - EPOCH).total_seconds())


def _duration(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 600 else f"{round(seconds / 60)} minutes"
