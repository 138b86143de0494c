"""`RegistryCall`: the registry's two calls, over TLS that trusts one authority only."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import grpc

from cairn_client.outbound import proxy_for
from cairn_client.pinned_tls import reaching
from cairn_protocol.codec import VERSION
from cairn_protocol.enrolment.statements import (
    LARGEST_CALL,
    REGISTRY,
    Enrolment,
    JoinClaim,
    StatusQuery,
)
from cairn_protocol.errors import CairnError, InputError, OurFault, PeerFault, PolicyRefusal
from cairn_protocol.identity import Identity
from cairn_protocol.messages import Refusal, decode
from cairn_protocol.proto import registry_pb2 as pb

CALL_SECONDS: Final = 10.0
_FAMILIES: Final = {c.family: c for c in (InputError, PolicyRefusal, PeerFault, OurFault)}


@dataclass(frozen=True)
class ClinicStatus:
    """How a clinic stands with a server. `server_ahead` is in seconds, by both clocks."""

    clinic: str
    state: str
    enrolled_at: datetime
    last_seen: datetime | None
    server_ahead: float


@dataclass(frozen=True)
class RegistryCall:
    """Calls to one registry.

    Args:
        authority: the certificate authority in DER, already compared with the token's.
        version: this side's protocol version.
    """

    host: str
    port: int
    authority: bytes
    seconds: float = CALL_SECONDS
    version: int = VERSION

    @property
    def authority_hash(self) -> bytes:
        """SHA-256 of the authority's certificate, which every statement names."""
        return sha256(self.authority).digest()

    def join(self, claim: JoinClaim, secret: bytes, identity: Identity) -> Enrolment:
        """The team's signed word that the clinic is enrolled.

        Raises:
            CairnError: the registry's own refusal, in its words and under its code.
            PeerFault: `peer.enrolment-forged`, `peer.version-differs`.
            InputError: see `pinned_tls.reaching`.
        """
        request = pb.JoinRequest(
            protocol=self.version,
            secret=secret,
            claim=claim.body,
            signature=claim.signed_by(identity),
        )
        reply = self._call("Join", request, pb.JoinReply)
        enrolment = Enrolment.from_body(reply.enrolled.enrolment)
        if enrolment.claim != claim.digest or not enrolment.is_from(
            enrolment.team, reply.enrolled.signature
        ):
            raise PeerFault(
                "the server's answer is not signed for this clinic",
                code="enrolment-forged",
                hint="tell the research team; nothing was kept here",
            )
        return enrolment

    def status(self, identity: Identity) -> ClinicStatus:
        """How the clinic with this identity stands.

        Raises:
            CairnError: as `join` does; `policy.not-enrolled`.
        """
        now = time.time()
        query = StatusQuery(identity.public, self.authority_hash, int(now), secrets.token_bytes(16))
        request = pb.StatusRequest(
            protocol=self.version, query=query.body, signature=query.signed_by(identity)
        )
        status = self._call("Status", request, pb.StatusReply).status
        return ClinicStatus(
            clinic=status.clinic,
            state=status.state,
            enrolled_at=datetime.fromtimestamp(status.enrolled_at, UTC),
            last_seen=datetime.fromtimestamp(status.last_seen, UTC) if status.last_seen else None,
            server_ahead=status.server_time - now,
        )

    def _call(self, method: str, request: Any, reply: Any) -> Any:
        credentials = grpc.ssl_channel_credentials(
            ssl.DER_cert_to_PEM_cert(self.authority).encode()
        )
        host = f"[{self.host}]" if ":" in self.host else self.host
        proxy = proxy_for(self.host)
        options = (
            ("grpc.max_receive_message_length", LARGEST_CALL),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", int(proxy is not None)),
            *((("grpc.http_proxy", proxy.uri),) if proxy else ()),
        )
        with grpc.secure_channel(f"{host}:{self.port}", credentials, options) as channel:
            send: Callable[..., Any] = channel.unary_unary(
                f"/{REGISTRY}/{method}", type(request).SerializeToString, reply.FromString
            )
            try:
                answer = send(request, timeout=self.seconds)
            except grpc.RpcError as error:
                raise self._failed(error) from None
        if answer.protocol != self.version:
            raise _other_version(self.version, answer.protocol)
        if answer.WhichOneof("outcome") == "refusal":
            raise _refusal(answer.refusal)
        if answer.WhichOneof("outcome") is None:
            raise PeerFault("the server sent an empty answer", code="malformed")
        return answer

    def _failed(self, error: grpc.RpcError) -> CairnError:
        code = error.code()
        if code in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL}:
            return _other_version(self.version, None)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return PolicyRefusal(
                "the server has more calls than it answers at once",
                code="too-many-calls",
                hint="wait a minute, then try once more; the token was not used",
            )
        failure: OSError = ConnectionRefusedError()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            failure = TimeoutError()
        elif code is not grpc.StatusCode.UNAVAILABLE:
            failure = OSError(0, code.name.lower().replace("_", " "))
        try:
            with reaching(self.host, self.port, self.seconds):
                raise failure
        except CairnError as in_words:
            return in_words
        raise AssertionError


def _refusal(data: bytes) -> CairnError:
    """The registry's refusal under its own code, so that its family says whose turn it is."""
    message = decode(data, LARGEST_CALL)
    if not isinstance(message, Refusal):
        return PeerFault("the server sent another message than its refusal", code="malformed")
    family, _, code = message.code.partition(".")
    if family not in _FAMILIES or not code:
        return message.as_error()
    return _FAMILIES[family](message.what, code=code, why=message.why, hint=message.hint)


def _other_version(ours: int, theirs: int | None) -> PeerFault:
    if theirs is None:
        what, older = f"the server does not speak protocol version {ours}, as this clinic does", ""
    else:
        what = f"the server speaks protocol version {theirs}, this clinic {ours}"
        older = "at this clinic" if ours < theirs else "at the research team's server"
    return PeerFault(
        what,
        code="version-differs",
        hint=f"update Cairn {older or 'on the older side'}; the token was not used",
    )
