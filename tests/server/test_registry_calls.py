"""The registry against callers that keep no rule, and its own life: ports, certificates, sweeps."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn_client.enrolment import join, status
from cairn_client.pinned_tls import authority_behind
from cairn_protocol.codec import VERSION
from cairn_protocol.enrolment.statements import (
    CLOCK_TOLERANCE,
    REGISTRY,
    Enrolment,
    JoinClaim,
    Statement,
    StatusQuery,
    token_hash,
)
from cairn_protocol.errors import CairnError, OurFault
from cairn_protocol.identity import Identity
from cairn_protocol.messages import Refusal, decode
from cairn_protocol.proto import registry_pb2 as pb
from cairn_server import pki, registry
from cairn_server.home import Listener, ServerHome
from cairn_server.rate_limit import MOST_PEERS, RateLimit
from cairn_server.registry import Registry
from enrolment_bench import HOST, Bench, Nodes, make_clinic, make_home, serving, utc_now


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    home = make_home(tmp_path_factory.mktemp("registry") / "server")
    with serving(home, limit=RateLimit(10**6, 10**6, time.monotonic)) as running:
        yield running


@pytest.fixture(scope="module")
def channel(bench: Bench) -> Iterator[grpc.Channel]:
    with connect(bench) as channel:
        yield channel


def connect(bench: Bench) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(bench.home.authority().pem)
    apart = (("grpc.use_local_subchannel_pool", 1),)  # a connection for each channel
    return grpc.secure_channel(f"{HOST}:{bench.registry.port}", credentials, apart)


def call(channel: grpc.Channel, method: str, request: bytes) -> bytes:
    send = channel.unary_unary(f"/{REGISTRY}/{method}")
    return bytes(send(request, timeout=5))


def refusal(answer: bytes) -> str:
    reply = pb.JoinReply.FromString(answer)
    assert reply.WhichOneof("outcome") == "refusal"
    message = decode(reply.refusal)
    assert isinstance(message, Refusal)
    return message.code


def node_pem(curve: ec.EllipticCurve | None = None) -> bytes:
    key = ec.generate_private_key(curve or ec.SECP384R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed(
    statement: Statement, signer: Identity, secret: bytes = b"", protocol: int = VERSION
) -> bytes:
    signature = statement.signed_by(signer)
    if isinstance(statement, JoinClaim):
        request: Any = pb.JoinRequest(
            protocol=protocol, secret=secret, claim=statement.body, signature=signature
        )
    else:
        request = pb.StatusRequest(protocol=protocol, query=statement.body, signature=signature)
    return bytes(request.SerializeToString())


class Caller:
    """A clinic that can lie about anything."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.identity = Identity.generate()
        self.secret = bench.token(name).secret
        self.authority = sha256(pki.der(bench.home.authority_certificate())).digest()
        self.claim = JoinClaim(
            token_hash(self.secret),
            self.authority,
            name,
            self.identity.public,
            node_pem(),
            int(time.time()),
        )
        self.query = StatusQuery(
            self.identity.public, self.authority, int(time.time()), secrets.token_bytes(16)
        )


def test_a_true_claim_is_answered_in_the_teams_word(bench: Bench, channel: grpc.Channel) -> None:
    caller = Caller(bench, "true")
    answer = call(channel, "Join", signed(caller.claim, caller.identity, caller.secret))
    enrolled = pb.JoinReply.FromString(answer).enrolled
    word = Enrolment.from_body(enrolled.enrolment)
    assert word.is_from(bench.home.team().public, enrolled.signature)
    assert word.claim == caller.claim.digest
    assert word.node == bench.nodes.keys[caller.claim.node_key]
    repeated = call(channel, "Join", signed(caller.claim, caller.identity, caller.secret))
    assert repeated == answer


def test_no_lie_gets_in_and_none_uses_up_the_token(bench: Bench, channel: grpc.Channel) -> None:
    caller, stranger = Caller(bench, "liar"), Identity.generate()
    claim, me, secret = caller.claim, caller.identity, caller.secret
    now = int(time.time())
    lies = {
        "peer.request-forged": signed(claim, stranger, secret),
        "peer.request-foreign": signed(replace(claim, authority=bytes(32)), me, secret),
        "peer.claim-token": signed(claim, me, bytes(16)),
        "input.token-unknown": signed(replace(claim, token=token_hash(b"x")), me, b"x"),
        "input.token-name": signed(replace(claim, clinic="another"), me, secret),
        "peer.node-key": signed(replace(claim, node_key=node_pem(ec.SECP256R1())), me, secret),
        "peer.version-differs": signed(claim, me, secret, protocol=VERSION + 1),
        "peer.truncated": pb.JoinRequest(protocol=VERSION, claim=b"x").SerializeToString(),
    }
    for code, request in lies.items():
        assert refusal(call(channel, "Join", request)) == code
    for time_ in (now - CLOCK_TOLERANCE - 5, now + CLOCK_TOLERANCE + 5, 0, 2**64 - 1):
        late = signed(replace(claim, time=time_), me, secret)
        assert refusal(call(channel, "Join", late)) == "input.clock-differs"
    for key in (b"", b"no key", claim.node_key + b"\n", claim.node_key.replace(b"\n", b"\r\n")):
        odd = signed(replace(claim, node_key=key), me, secret)
        assert refusal(call(channel, "Join", odd)) == "peer.node-key"
    assert bench.store.clinic("liar") is None
    assert refusal(call(channel, "Status", signed(caller.query, me))) == "policy.not-enrolled"
    answer = pb.JoinReply.FromString(call(channel, "Join", signed(claim, me, secret)))
    assert answer.WhichOneof("outcome") == "enrolled"


def test_a_used_token_is_repeated_by_the_very_same_clinic_only(
    bench: Bench, channel: grpc.Channel
) -> None:
    caller, thief = Caller(bench, "once"), Identity.generate()
    claim, me, secret = caller.claim, caller.identity, caller.secret
    first = signed(claim, me, secret)
    assert pb.JoinReply.FromString(call(channel, "Join", first)).HasField("enrolled")
    for other in (
        signed(replace(claim, identity=thief.public), thief, secret),
        signed(replace(claim, node_key=node_pem()), me, secret),
    ):
        assert refusal(call(channel, "Join", other)) == "input.token-used"
    bench.store.revoke("once")
    assert refusal(call(channel, "Join", first)) == "input.token-used"


def test_a_signature_for_one_call_is_of_no_use_for_another(
    bench: Bench, channel: grpc.Channel
) -> None:
    caller = Caller(bench, "cross")
    crossed = pb.StatusRequest(
        protocol=VERSION,
        query=caller.query.body,
        signature=caller.claim.signed_by(caller.identity),
    )
    assert refusal(call(channel, "Status", crossed.SerializeToString())) == "peer.request-forged"
    foreign = signed(replace(caller.query, authority=bytes(32)), caller.identity)
    assert refusal(call(channel, "Status", foreign)) == "peer.request-foreign"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(("Join", "Status")), st.binary(max_size=400), st.booleans())
def test_whatever_comes_is_refused_and_the_registry_lives(
    bench: Bench, channel: grpc.Channel, method: str, noise: bytes, framed: bool
) -> None:
    request = noise
    if framed:
        request = pb.JoinRequest(protocol=VERSION, claim=noise, secret=noise).SerializeToString()
    before = bench.store.clinics()
    assert refusal(call(channel, method, request)).startswith("peer.")
    assert bench.store.clinics() == before


def test_a_large_message_is_refused_unread(bench: Bench, channel: grpc.Channel) -> None:
    for _ in range(10):  # more than a connection has streams
        with pytest.raises(grpc.RpcError) as error:
            call(channel, "Join", bytes(1 << 20))
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    caller = Caller(bench, "after")
    assert refusal(call(channel, "Status", signed(caller.query, caller.identity)))


def test_nothing_but_two_methods_answers(channel: grpc.Channel) -> None:
    for method in (f"/{REGISTRY}/Revoke", "/grpc.health.v1.Health/Check", "/flwr.proto.Control/X"):
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(method)(b"", timeout=5)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_too_many_calls_are_turned_away(tmp_path: Path) -> None:
    limit = RateLimit(3, 100, lambda: 0.0)
    with serving(make_home(tmp_path / "server"), limit=limit) as bench, connect(bench) as channel:
        caller = Caller(bench, "oak")
        asks = [
            refusal(call(channel, "Status", signed(caller.query, caller.identity)))
            for _ in range(5)
        ]
    assert asks == ["policy.not-enrolled"] * 3 + ["policy.too-many-calls"] * 2


def test_callers_who_never_finish_do_not_hold_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {"grpc.max_connection_age_ms": 500, "grpc.max_connection_age_grace_ms": 100}
    options = tuple((name, quick.get(name, value)) for name, value in registry._OPTIONS)
    monkeypatch.setattr(registry, "_OPTIONS", options)
    finish = threading.Event()

    def never() -> Iterator[bytes]:
        finish.wait(60)
        yield b""

    with serving(make_home(tmp_path / "server")) as bench:
        oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
        stalled, calls = [connect(bench) for _ in range(3)], []
        try:
            for channel in stalled:
                grpc.channel_ready_future(channel).result(timeout=5)
                method = channel.stream_unary(f"/{REGISTRY}/Join")
                calls += [method.future(never()) for _ in range(6)]
            time.sleep(0.2)
            deadline = time.monotonic() + 20
            refused = []
            while time.monotonic() < deadline:
                try:
                    join(oak, token, seconds=1.0)
                    break
                except CairnError as error:
                    refused.append(error.code)
                    time.sleep(0.2)
            else:
                pytest.fail("the registry did not come back")
        finally:
            finish.set()
            for channel in stalled:
                channel.close()
    assert set(refused) <= {"policy.too-many-calls", "input.server-silent"}
    assert refused, "they did hold it for a moment"


def test_the_limit_fills_again_counts_each_peer_and_all_and_forgets_the_silent() -> None:
    clock = [0.0]
    limit = RateLimit(2, 5, lambda: clock[0])
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    assert [limit.allows(p) for p in "bcd"] == [True, True, True]
    assert not limit.allows("e"), "all together"
    clock[0] = 30.0
    assert [limit.allows("a") for _ in range(2)] == [True, False]
    for number in range(2 * MOST_PEERS):
        limit.allows(str(number))
    assert len(limit._peers) == MOST_PEERS


def test_sweep_carries_revocations_to_the_fleet_once_and_notes_who_was_seen(
    tmp_path: Path,
) -> None:
    with serving(make_home(tmp_path / "server")) as bench:
        node = {}
        for name in ("ash", "oak"):
            node[name] = join(make_clinic(tmp_path / name, name), bench.token(name)).link.node_id
        seen = bench.nodes.seen[node["ash"]] = utc_now()
        bench.registry.sweep()
        assert bench.nodes.revoked == []
        assert [c.last_seen for c in bench.store.clinics()] == [seen, None]
        with bench.home.store() as elsewhere:  # as `cairn server revoke` does
            elsewhere.revoke("oak")
        bench.registry.sweep()
        bench.registry.sweep()
        assert bench.nodes.revoked == [node["oak"]]


def test_a_fault_of_the_fleet_is_said_once_and_tried_again_at_every_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Nodes):
        def revoke(self, node: int) -> None:
            super().revoke(node)
            if len(self.revoked) < 3:
                raise OurFault("the fleet's database is away", code="fleet")

    with serving(make_home(tmp_path / "server"), nodes=Failing()) as bench:
        join(make_clinic(tmp_path / "oak", "oak"), bench.token("oak"))
        bench.store.revoke("oak")
        for _ in range(5):
            bench.registry.sweep()
        assert len(bench.nodes.revoked) == 3
    assert caplog.text.count("cannot take oak out") == 1


# its own life


def test_a_port_in_use_an_address_elsewhere_a_port_of_root(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server")
    with home.store() as store:

        def code(home: ServerHome, port: int) -> str:
            with pytest.raises(CairnError) as error:
                Registry(home, store, enrol_node=lambda key: 1, port=port)
            assert error.value.hint
            return error.value.code

        with socket.create_server((HOST, 0)) as taken:
            assert code(home, taken.getsockname()[1]) == "input.port-in-use"
        elsewhere = home.config.model_copy(
            update={"registry": Listener(listen="192.0.2.7", port=8444)}
        )
        assert code(replace(home, config=elsewhere), 8444) == "input.address-foreign"


@pytest.mark.parametrize("probed", [True, False])
def test_two_registries_cannot_share_a_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probed: bool
) -> None:
    if not probed:  # as when the other one came in between
        monkeypatch.setattr("cairn_server.registry.check_port", lambda listen, port: None)
    with serving(make_home(tmp_path / "server")) as bench, pytest.raises(CairnError) as error:
        Registry(bench.home, bench.store, enrol_node=lambda key: 1, port=bench.registry.port)
    assert error.value.code == "input.port-in-use"


def test_an_expired_certificate_is_the_teams_to_renew(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server", now=utc_now() - timedelta(days=400))
    with home.store() as store, pytest.raises(CairnError) as error:
        Registry(home, store, enrol_node=lambda key: 1, port=0)
    assert error.value.code == "input.certificate-expired"
    assert "--renew-certificate" in error.value.hint
    home.renew(utc_now())
    with serving(home) as bench:
        assert join(make_clinic(tmp_path / "oak", "oak"), bench.token("oak"))


def test_a_renewed_certificate_is_taken_while_it_runs(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server")
    with serving(home) as bench:
        oak = make_clinic(tmp_path / "oak", "oak")
        token = bench.token("oak")
        join(oak, token)
        config = home.config.model_copy(update={"hosts": ("127.0.0.2",)})
        replace(home, config=config).renew(utc_now())
        with pytest.raises(CairnError) as error:
            authority_behind(HOST, bench.registry.port, token.authority)
        assert error.value.code == "input.host-name-differs"
        home.renew(utc_now())
        assert authority_behind(HOST, bench.registry.port, token.authority)


def test_the_log_names_codes_and_clinics_and_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(make_home(tmp_path / "server")) as bench:
        oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
        join(oak, token)
        with pytest.raises(CairnError):
            join(make_clinic(tmp_path / "elm", "oak"), token)
    assert "input.token-used" in caplog.text
    assert "joined: oak" in caplog.text
    for secret in (token.secret, bench.home.team().private_bytes()):
        assert secret.hex() not in caplog.text
        assert repr(secret)[2:-1] not in caplog.text
    assert str(token) not in caplog.text


def test_status_after_restart_is_the_same(tmp_path: Path) -> None:
    home, oak = make_home(tmp_path / "server"), make_clinic(tmp_path / "oak", "oak")
    with serving(home) as bench:
        join(oak, bench.token("oak"))
        before = status(oak)
    with serving(home) as bench:
        file = oak.path / "link" / "link.toml"
        lines = [line for line in file.read_text().splitlines() if "registry_port" not in line]
        file.write_text("\n".join((*lines, f"registry_port = {bench.registry.port}")))
        assert status(oak).enrolled_at == before.enrolled_at
