"""A clinic joins over real TLS on loopback; every way that it may fail has its own words."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import cairn_client.enrolment as enrolment_module
from cairn_client import pinned_tls
from cairn_client.enrolment import LinkFolder, join, pinned_team, status
from cairn_client.registry_call import RegistryCall
from cairn_protocol.codec import VERSION
from cairn_protocol.enrolment.statements import REGISTRY, Enrolment, JoinClaim
from cairn_protocol.enrolment.token import JoinToken, authority_pin
from cairn_protocol.errors import CairnError, InputError, PeerFault, PolicyRefusal
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.proto import registry_pb2 as pb
from cairn_server import pki
from cairn_server.home import ServerHome
from enrolment_bench import HOST, Bench, Nodes, make_clinic, make_home, serving, utc_now

HOUR = timedelta(hours=1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with serving(make_home(tmp_path / "server")) as running:
        yield running


def refused(call: Callable[[], object]) -> CairnError:
    with pytest.raises(CairnError) as error:
        call()
    assert error.value.hint, "a refusal says what to do"
    return error.value


def nothing_kept(folder: Path) -> bool:
    """Whether the clinic is as if it had never tried, but for its own keys."""
    there = {path.name for path in folder.rglob("*") if path.is_file()}
    return there <= {"clinic.toml", "identity.key", "node.key"}


def test_a_clinic_joins_and_everything_is_where_its_daemons_look(
    bench: Bench, tmp_path: Path
) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    joined = join(oak, bench.token("oak"))
    team = bench.home.team()
    assert joined.team == team.fingerprint == fingerprint(pinned_team(oak) or b"")
    assert joined.identity == oak.identity().fingerprint
    assert joined.authority == bench.home.authority().fingerprint
    link = LinkFolder.of(oak)
    assert link.config() == joined.link
    assert link.config().fleet == bench.home.config.fleet_url
    assert link.authority_file.read_bytes() == bench.home.authority().pem
    assert bench.nodes.keys == {link.node_public_key(): link.config().node_id}
    for private in (oak.path / "link", *(oak.path / "link").iterdir(), oak.state / "team.pub"):
        assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0, private
    (known,) = bench.store.clinics()
    assert (known.name, known.identity, known.state) == ("oak", oak.identity().public, "enrolled")


def test_the_node_key_is_one_that_flower_reads(bench: Bench, tmp_path: Path) -> None:
    from flwr.supercore.primitives.asymmetric import (
        bytes_to_private_key,
        public_key_to_bytes,
        uses_nist_ec_curve,
    )

    link = LinkFolder.of(make_clinic(tmp_path / "oak", "oak"))
    public = link.node_public_key()
    key = bytes_to_private_key(link.key_file.read_bytes())
    assert public_key_to_bytes(key.public_key()) == public
    assert uses_nist_ec_curve(key.public_key())


def test_status_says_how_the_clinic_stands(bench: Bench, tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    assert refused(lambda: status(oak)).code == "input.not-joined"
    node = join(oak, bench.token("oak")).link.node_id
    assert status(oak).last_seen is None
    bench.nodes.seen[node] = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    shown = status(oak)
    assert (shown.clinic, shown.state) == ("oak", "enrolled")
    assert shown.last_seen == bench.nodes.seen[node]
    assert abs(shown.server_ahead) < 5
    bench.store.revoke("oak")
    assert status(oak).state == "revoked"


def test_a_join_whose_answer_was_lost_is_repeated_with_the_same_token(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    real = RegistryCall.join

    def loses_the_answer(self: RegistryCall, *given: Any) -> Enrolment:
        real(self, *given)
        raise InputError("the line broke", code="server-unreachable", hint="try again")

    monkeypatch.setattr(RegistryCall, "join", loses_the_answer)
    refused(lambda: join(oak, token))
    assert nothing_kept(oak.path)
    monkeypatch.setattr(RegistryCall, "join", real)
    assert join(oak, token).clinic == "oak"
    assert len(bench.nodes.keys) == 1


def test_an_interrupted_write_is_mended_by_joining_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    real = enrolment_module._write

    def full_disk(path: Path, data: bytes, *, new: bool = False) -> None:
        if path.name == "ca.pem":
            raise OSError(28, "No space left on device", str(path))
        real(path, data, new=new)

    monkeypatch.setattr(enrolment_module, "_write", full_disk)
    with pytest.raises(OSError, match="No space"):
        join(oak, token)
    assert refused(lambda: LinkFolder.of(oak).config()).code == "input.not-joined"
    monkeypatch.setattr(enrolment_module, "_write", real)
    assert join(oak, token).clinic == "oak"


# the token


def test_a_used_token_is_refused(bench: Bench, tmp_path: Path) -> None:
    token = bench.token("oak")
    join(make_clinic(tmp_path / "oak", "oak"), token)
    other = make_clinic(tmp_path / "thief", "oak")
    assert refused(lambda: join(other, token)).code == "input.token-used"
    assert nothing_kept(other.path)


def test_of_many_who_come_with_one_token_one_gets_in(bench: Bench, tmp_path: Path) -> None:
    token = bench.token("oak")
    clinics = [make_clinic(tmp_path / str(i), "oak") for i in range(6)]

    def attempt(clinic: Any) -> str:
        try:
            return join(clinic, token).clinic
        except CairnError as error:
            return error.code

    with ThreadPoolExecutor(6) as pool:
        ends = sorted(pool.map(attempt, clinics))
    assert ends == ["input.token-used"] * 5 + ["oak"]
    assert len(bench.store.clinics()) == len(bench.nodes.keys) == 1


def test_an_expired_token_is_refused_here_and_there(bench: Bench, tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    token = bench.token("oak", days=1e-5)  # 0.9 s, cut to the second
    late = refused(lambda: join(oak, replace(token, expires=utc_now() - HOUR)))
    assert late.code == "input.token-expired"
    assert "this machine's clock" in late.why
    while utc_now() < token.expires:
        threading.Event().wait(0.05)
    there = refused(lambda: join(oak, replace(token, expires=utc_now() + HOUR)))
    assert there.code == "input.token-expired"
    assert "server's clock" in there.why


def test_a_token_of_another_name_an_unknown_and_a_withdrawn_one(
    bench: Bench, tmp_path: Path
) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    other = refused(lambda: join(oak, bench.token("elm")))
    assert other.code == "input.token-name"
    assert "elm" in other.what
    unknown = replace(bench.token("oak"), secret=bytes(16))
    assert refused(lambda: join(oak, unknown)).code == "input.token-unknown"
    withdrawn = bench.token("oak")
    assert bench.store.withdraw_tokens("oak", utc_now()) == 2
    assert refused(lambda: join(oak, withdrawn)).code == "input.token-expired"


# who has joined before


def test_a_name_an_identity_or_a_link_that_joined_before(bench: Bench, tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    first, second = bench.token("oak"), bench.token("oak")
    join(oak, first)
    assert refused(lambda: bench.token("oak")).code == "input.name-enrolled"
    twin = make_clinic(tmp_path / "twin", "oak")
    assert refused(lambda: join(twin, second)).code == "input.name-enrolled"
    assert refused(lambda: join(oak, first)).code == "input.already-joined"

    elm = make_clinic(tmp_path / "elm", "elm")
    (elm.state / "identity.key").write_bytes((oak.state / "identity.key").read_bytes())
    renamed = refused(lambda: join(elm, bench.token("elm")))
    assert renamed.code == "input.identity-enrolled"
    assert "oak" in renamed.what

    ash = make_clinic(tmp_path / "ash", "ash")
    LinkFolder.of(ash).write("node.key", LinkFolder.of(oak).key_file.read_bytes())
    assert refused(lambda: join(ash, bench.token("ash"))).code == "input.node-key-enrolled"


def test_a_revoked_clinic_joins_again_under_a_new_node_key_only(
    bench: Bench, tmp_path: Path
) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    node = join(oak, bench.token("oak")).link.node_id
    bench.store.revoke("oak")
    again = bench.token("oak")
    (oak.path / "link" / "link.toml").unlink()
    assert refused(lambda: join(oak, again)).code == "input.node-key-revoked"
    for file in (oak.path / "link").iterdir():
        file.unlink()
    assert join(oak, again).link.node_id != node
    assert bench.nodes.revoked == [node], "though nobody swept in between"
    assert status(oak).state == "enrolled"


def test_another_team_is_not_let_in_silently(bench: Bench, tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    (oak.state / "team.pub").write_bytes(Identity.generate().public)
    assert refused(lambda: join(oak, bench.token("oak"))).code == "input.team-differs"
    assert not (oak.path / "link" / "link.toml").exists()
    (oak.state / "team.pub").write_bytes(b"short")
    assert refused(lambda: pinned_team(oak)).code == "input.team-key-damaged"


# who answers


class Impostor:
    """A TLS server that is not the registry, and keeps what it is told."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.heard = b""
        self.socket = socket.create_server((HOST, 0))
        self.socket.settimeout(0.1)
        self.port: int = self.socket.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                plain, _ = self.socket.accept()
                plain.settimeout(2)
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self.heard += connection.recv(1000)
            except OSError:
                continue

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.socket.close()


@contextmanager
def impostor(certificate: Path, key: Path) -> Iterator[Impostor]:
    server = Impostor(certificate, key)
    try:
        yield server
    finally:
        server.close()


def issue(home: ServerHome, folder: Path, now: datetime, *, chain: bytes | None = None) -> Path:
    """A certificate of `home`'s authority for another moment, with its key beside it."""
    key = pki.new_key()
    certificate = home.authority().issue((HOST,), key, now)
    (folder / "key.pem").write_bytes(pki.key_pem(key))
    file = folder / "chain.pem"
    file.write_bytes(pki.pem(certificate) + (home.authority().pem if chain is None else chain))
    return file


def test_another_authority_is_seen_before_a_byte_is_sent(bench: Bench, tmp_path: Path) -> None:
    oak, other = make_clinic(tmp_path / "oak", "oak"), make_home(tmp_path / "other")
    with impostor(other.certificate, other.key) as server:
        token = replace(bench.token("oak"), port=server.port)
        error = refused(lambda: join(oak, token))
    assert isinstance(error, PeerFault)
    assert error.code == "peer.authority-differs"
    assert other.authority().fingerprint in error.why
    assert bench.home.authority().fingerprint in error.why
    assert server.heard == b""
    assert nothing_kept(oak.path)
    assert not (oak.state / "identity.key").exists()


def test_somebody_who_shows_the_right_authority_but_is_not_of_it(
    bench: Bench, tmp_path: Path
) -> None:
    oak, other = make_clinic(tmp_path / "oak", "oak"), make_home(tmp_path / "other")
    borrowed = issue(other, tmp_path, utc_now(), chain=bench.home.authority().pem)
    with impostor(borrowed, tmp_path / "key.pem") as server:
        error = refused(lambda: join(oak, replace(bench.token("oak"), port=server.port)))
    assert error.code == "peer.certificate-invalid"
    assert server.heard == b""


@pytest.mark.parametrize(
    ("shift", "code"),
    [
        (timedelta(days=-366), "input.certificate-expired"),
        (HOUR, "input.certificate-not-yet-valid"),
    ],
)
def test_dates_that_do_not_hold(bench: Bench, tmp_path: Path, shift: timedelta, code: str) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    with impostor(issue(bench.home, tmp_path, utc_now() + shift), tmp_path / "key.pem") as server:
        error = refused(lambda: join(oak, replace(bench.token("oak"), port=server.port)))
    assert error.code == code
    assert "clock" in error.why + error.hint
    assert server.heard == b""


def test_a_wrong_host_name(tmp_path: Path) -> None:
    home = make_home(tmp_path / "server", hosts=("cairn.example.org", "192.0.2.7"))
    with serving(home) as bench:
        for host in (HOST, "localhost"):
            oak = make_clinic(tmp_path / host, "oak")
            error = refused(lambda h=host, o=oak: join(o, replace(bench.token("oak"), host=h)))  # type: ignore[misc]
            assert error.code == "input.host-name-differs"
            assert "cairn.example.org, 192.0.2.7" in error.why


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_uses_up_nothing(tmp_path: Path, hours: int) -> None:
    home, oak = make_home(tmp_path / "server"), make_clinic(tmp_path / "oak", "oak")
    with serving(home, now=lambda: utc_now() - hours * HOUR) as bench:
        token = bench.token("oak")
        error = refused(lambda: join(oak, token))
    assert error.code == "input.clock-differs"
    assert ("ahead of" if hours > 0 else "behind") in error.what
    assert "60 minutes" in error.what
    with serving(home) as bench:
        assert join(oak, replace(token, port=bench.registry.port)).clinic == "oak"


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_a_server_of_another_protocol_version(tmp_path: Path, version: int) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    with serving(make_home(tmp_path / "server"), version=version) as bench:
        error = refused(lambda: join(oak, bench.token("oak")))
        assert bench.store.tokens()[0].used_at is None
    assert error.code == "peer.version-differs"
    older = "this clinic" if version > VERSION else "server"
    assert older in error.hint
    assert nothing_kept(oak.path)


def test_a_server_that_knows_no_such_service(bench: Bench, tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    with other_grpc(bench.home, {}) as port:
        error = refused(lambda: join(oak, replace(bench.token("oak"), port=port)))
    assert error.code == "peer.version-differs"


@contextmanager
def other_grpc(home: ServerHome, methods: dict[str, Any]) -> Iterator[int]:
    """A gRPC server with the right certificate and other methods."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(REGISTRY, methods),))
        port = server.add_secure_port(
            f"{HOST}:0",
            grpc.ssl_server_credentials([(home.key.read_bytes(), home.certificate.read_bytes())]),
        )
        server.start()
        yield port
        server.stop(0).wait()


@pytest.mark.parametrize("lie", ["another's signature", "another claim"])
def test_an_answer_that_is_not_signed_for_this_clinic_is_not_kept(
    bench: Bench, tmp_path: Path, lie: str
) -> None:
    team = bench.home.team()

    def forged(request: bytes, _context: object) -> bytes:
        claim = JoinClaim.from_body(pb.JoinRequest.FromString(request).claim).digest
        signer = Identity.generate() if lie == "another's signature" else team
        claim = bytes(32) if lie == "another claim" else claim
        word = Enrolment(claim, team.public, 7, "https://elsewhere.example.org")
        enrolled = pb.Enrolled(enrolment=word.body, signature=word.signed_by(signer))
        return bytes(pb.JoinReply(protocol=VERSION, enrolled=enrolled).SerializeToString())

    oak = make_clinic(tmp_path / "oak", "oak")
    methods = {"Join": grpc.unary_unary_rpc_method_handler(forged)}
    with other_grpc(bench.home, methods) as port:
        error = refused(lambda: join(oak, replace(bench.token("oak"), port=port)))
    assert error.code == "peer.enrolment-forged"
    assert nothing_kept(oak.path)


# nobody answers


def test_no_server_no_such_host_and_no_tls(bench: Bench, tmp_path: Path) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    error = refused(lambda: join(oak, replace(token, port=port)))
    assert error.code == "input.server-not-running"
    nobody = replace(token, host="no-such-host.invalid")
    assert refused(lambda: join(oak, nobody)).code == "input.host-unknown"
    with plain_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert refused(lambda: join(oak, replace(token, port=port))).code == "peer.not-tls"


@contextmanager
def plain_answer(answer: bytes) -> Iterator[int]:
    server = socket.create_server((HOST, 0))

    def serve() -> None:
        connection, _ = server.accept()
        connection.recv(1000)
        connection.sendall(answer)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    thread.join()
    server.close()


def test_a_firewall_that_drops_everything_is_waited_for_no_longer_than_said(
    bench: Bench, tmp_path: Path
) -> None:
    oak, token = make_clinic(tmp_path / "oak", "oak"), bench.token("oak")
    with socket.create_server((HOST, 0)) as silent:  # the system accepts; nobody ever answers
        started = utc_now()
        quiet = replace(token, port=silent.getsockname()[1])
        error = refused(lambda: join(oak, quiet, seconds=0.5))
    assert error.code == "input.server-silent"
    assert "firewall" in error.why
    assert utc_now() - started < timedelta(seconds=3)


def test_a_registry_that_stalls_is_waited_for_no_longer_than_said(
    bench: Bench, tmp_path: Path
) -> None:
    stop = threading.Event()

    def stalls(request: bytes, _context: object) -> bytes:
        stop.wait(10)
        return b""

    oak = make_clinic(tmp_path / "oak", "oak")
    methods = {"Join": grpc.unary_unary_rpc_method_handler(stalls)}
    with other_grpc(bench.home, methods) as port:
        started = utc_now()
        stalled = replace(bench.token("oak"), port=port)
        error = refused(lambda: join(oak, stalled, seconds=1.0))
        stop.set()
    assert error.code == "input.server-silent"
    assert utc_now() - started < timedelta(seconds=5)


def test_the_fleets_own_fault_leaves_the_token_unused(tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    with serving(make_home(tmp_path / "server"), nodes=Nodes(fails=True)) as bench:
        token = bench.token("oak")
        error = refused(lambda: join(oak, token))
        assert error.code == "internal.registry-failed"
        assert "database" not in str(error)
        assert bench.store.clinics() == ()
        bench.nodes.fails = False
        assert join(oak, token).clinic == "oak"


def test_the_chain_that_a_server_shows_is_seen_whole(bench: Bench) -> None:
    """The one use of something that Python makes public only from 3.13 on."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((HOST, bench.registry.port), timeout=5) as plain,
        context.wrap_socket(plain) as connection,
    ):
        server, authority = pinned_tls.shown_chain(connection)
    assert authority_pin(authority) == bench.token("oak").authority
    assert server == pki.der(bench.home.server_certificate())


def test_damaged_files_of_the_link_are_named(bench: Bench, tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    join(oak, bench.token("oak"))
    link = LinkFolder.of(oak)
    assert load_pem_private_key(link.key_file.read_bytes(), None)
    link.write("node.key", b"nothing of the kind")
    assert refused(link.node_public_key).code == "input.node-key-damaged"
    link.write("link.toml", b"clinic = 3")
    assert refused(link.config).code == "input.file-invalid"
    assert isinstance(JoinToken.parse(str(bench.token("elm"))), JoinToken)


def test_an_enrolled_identity_is_asked_for(bench: Bench, tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    join(oak, bench.token("oak"))
    (oak.state / "identity.key").unlink()
    error = refused(lambda: status(oak))
    assert isinstance(error, PolicyRefusal)
    assert error.code == "policy.not-enrolled"


def test_two_who_join_at_once_leave_one_key(tmp_path: Path) -> None:
    link = LinkFolder.of(make_clinic(tmp_path / "oak", "oak"))
    with ThreadPoolExecutor(1) as pool:
        assert len({pool.submit(link.node_public_key).result() for _ in range(2)}) == 1
    with pytest.raises(FileExistsError):
        enrolment_module._write(link.key_file, b"another", new=True)
    assert b"PRIVATE KEY" in link.key_file.read_bytes()
    assert {file.name for file in link.path.iterdir()} == {"node.key"}
