"""`join`: a clinic joins a research team's server with a one-time token; `status` asks how it went.

What is made here stays here: the identity's key in `.cairn/`, the node key in `link/`. What comes
back is written only after every check, link.toml last, so that a join that was interrupted can be
repeated with the same token.

link/         0700, the link's: node.key (0600), ca.pem, link.toml
.cairn/team.pub    0600, the keeper's: the research team's public key, 32 bytes
"""

from __future__ import annotations

import json
import os
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, Field

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.pinned_tls import CONNECT_SECONDS, authority_behind
from cairn_client.registry_call import ClinicStatus, RegistryCall
from cairn_privacy.durable import sync_folder
from cairn_protocol.codec import VERSION
from cairn_protocol.enrolment.statements import JoinClaim, token_hash
from cairn_protocol.enrolment.token import HOST, JoinToken, authority_pin, grouped
from cairn_protocol.errors import InputError
from cairn_protocol.identity import PUBLIC_BYTES, fingerprint
from cairn_protocol.study import parse_toml, read_bounded

LARGEST_FILE: Final = 64 * 1024


class LinkConfig(BaseModel):
    """link/link.toml: where the server is, and which node this clinic is there. No secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clinic: str
    fleet: str = Field(pattern=r"^https://")
    registry_host: str = Field(pattern=f"^({HOST.pattern})$")
    registry_port: int = Field(gt=0, lt=1 << 16)
    node: str = Field(pattern=r"^[0-9]{1,20}$")  # text: TOML's integers are signed

    @property
    def node_id(self) -> int:
        """Flower's id of this clinic's link."""
        return int(self.node)


@dataclass(frozen=True)
class LinkFolder:
    """The folder of a clinic's link: transport keys and addresses, nothing of patients."""

    path: Path

    @classmethod
    def of(cls, clinic: ClinicFolder) -> Self:
        """The link's folder inside a clinic's; made with mode 0700 where there is none."""
        path = clinic.path / "link"
        path.mkdir(mode=0o700, exist_ok=True)
        return cls(path)

    @property
    def key_file(self) -> Path:
        """node.key, PKCS 8 in PEM, as Flower reads it."""
        return self.path / "node.key"

    @property
    def authority_file(self) -> Path:
        """ca.pem, the only authority that the link trusts."""
        return self.path / "ca.pem"

    def config(self) -> LinkConfig:
        """link.toml.

        Raises:
            InputError: `input.not-joined`, or a file that cannot be used.
        """
        file = self.path / "link.toml"
        if not file.is_file():
            raise InputError(
                "this clinic has not joined a research team's server",
                code="not-joined",
                hint="ask the team for a token, then: cairn clinic join",
            )
        return parse_toml(
            LinkConfig,
            read_bounded(file, LARGEST_FILE),
            where=str(file),
            page="docs/between-machines.md",
        )

    def node_public_key(self) -> bytes:
        """The public key of the link in PEM; the pair is made on first use.

        Raises:
            InputError: `input.node-key-damaged`.
        """
        if not self.key_file.exists():
            key = ec.generate_private_key(ec.SECP384R1())
            data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write(self.key_file, data, new=True)
        try:
            there = load_pem_private_key(read_bounded(self.key_file, LARGEST_FILE), password=None)
        except ValueError:
            there = None
        if not isinstance(there, ec.EllipticCurvePrivateKey):
            raise InputError(
                f"{self.key_file} is damaged",
                code="node-key-damaged",
                hint="restore it, or remove it and join again with a new token",
            )
        return there.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def write(self, name: str, data: bytes) -> None:
        """Writes a file whole, 0600, for whoever owns the folder."""
        _write(self.path / name, data)


@dataclass(frozen=True)
class Joined:
    """What people compare over the telephone, and where the link will connect."""

    clinic: str
    identity: str  # fingerprints
    team: str
    authority: str
    link: LinkConfig


def join(
    clinic: ClinicFolder,
    token: JoinToken,
    *,
    seconds: float = CONNECT_SECONDS,
    version: int = VERSION,
) -> Joined:
    """The clinic joined; everything that its link and its keeper need is on disk.

    Raises:
        InputError: `input.already-joined`, `input.token-expired`, `input.team-differs`, what
            `authority_behind` raises, and the registry's own refusals under their codes.
        PeerFault: somebody in between, or a server of another version.
    """
    link = LinkFolder.of(clinic)
    _check_before(link, token)
    authority = authority_behind(token.host, token.port, token.authority, seconds=seconds)
    identity = clinic.identity()
    call = RegistryCall(token.host, token.port, authority, seconds, version)
    claim = JoinClaim(
        token=token_hash(token.secret),
        authority=call.authority_hash,
        clinic=clinic.config.name,
        identity=identity.public,
        node_key=link.node_public_key(),
        time=int(time.time()),
    )
    enrolment = call.join(claim, token.secret, identity)
    pin_team(clinic, enrolment.team)
    config = LinkConfig(
        clinic=clinic.config.name,
        fleet=enrolment.fleet,
        registry_host=token.host,
        registry_port=token.port,
        node=str(enrolment.node),
    )
    link.write("ca.pem", ssl.DER_cert_to_PEM_cert(authority).encode())
    link.write("link.toml", _as_toml(config).encode())
    return Joined(
        clinic=config.clinic,
        identity=identity.fingerprint,
        team=fingerprint(enrolment.team),
        authority=grouped(token.authority),
        link=config,
    )


def status(clinic: ClinicFolder, *, seconds: float = CONNECT_SECONDS) -> ClinicStatus:
    """How the clinic stands with the server that it joined.

    Raises:
        InputError: `input.not-joined`, and what `authority_behind` raises.
        CairnError: the registry's refusal.
    """
    link = LinkFolder.of(clinic)
    config = link.config()
    authority = ssl.PEM_cert_to_DER_cert(
        read_bounded(link.authority_file, LARGEST_FILE).decode("ascii", "replace")
    )
    host, port = config.registry_host, config.registry_port
    authority_behind(host, port, authority_pin(authority), seconds=seconds)
    return RegistryCall(host, port, authority, seconds).status(clinic.identity())


def pin_team(clinic: ClinicFolder, team: bytes) -> None:
    """Keep the research team's public key where the keeper looks for it.

    Raises:
        InputError: `input.team-differs`: another team's is pinned.
    """
    pinned = pinned_team(clinic)
    if pinned is None:
        _write(clinic.state / "team.pub", team, new=True)
    elif pinned != team:
        raise InputError(
            "this clinic has joined another research team before",
            code="team-differs",
            why=f"that team's fingerprint is {fingerprint(pinned)}, this one's {fingerprint(team)}",
            hint="a clinic of its own folder for each team; or, if the team has new keys and says "
            "so by telephone, remove .cairn/team.pub and join again",
        )


def forget_team(clinic: ClinicFolder) -> None:
    """Takes the research team's public key away, which `join` writes; another may be pinned."""
    (clinic.state / "team.pub").unlink(missing_ok=True)
    sync_folder(clinic.state)


def pinned_team(clinic: ClinicFolder) -> bytes | None:
    """The research team's public key, 32 bytes, if this clinic has joined.

    Raises:
        InputError: `input.team-key-damaged`.
    """
    file = clinic.state / "team.pub"
    if not file.exists():
        return None
    team = read_bounded(file, PUBLIC_BYTES)
    if len(team) != PUBLIC_BYTES:
        raise InputError(
            f"{file} is damaged",
            code="team-key-damaged",
            why=f"it holds {len(team)} bytes, not {PUBLIC_BYTES}",
            hint="remove it and join again with a new token",
        )
    return team


def _check_before(link: LinkFolder, token: JoinToken) -> None:
    """What can be known without a connection."""
    if (link.path / "link.toml").exists():
        raise InputError(
            "this clinic has joined already",
            code="already-joined",
            why=f"{link.path / 'link.toml'} is there",
            hint="cairn clinic status shows how it stands; to join anew after the team revoked it, "
            "remove the folder link/ first",
        )
    now = datetime.now(UTC)
    if now >= token.expires:
        raise InputError(
            "this token has expired",
            code="token-expired",
            why=f"on {token.expires:%Y-%m-%d %H:%M} UTC; this machine's clock says "
            f"{now:%Y-%m-%d %H:%M} UTC",
            hint="if the clock is right, ask the research team for a new token",
        )


def _write(path: Path, data: bytes, *, new: bool = False) -> None:
    """Writes `path` whole with mode 0600, on disk when this returns, for its folder's owner.

    Raises:
        FileExistsError: it should be new, and somebody made it in between.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(draft, owner.st_uid, owner.st_gid)
    if new:
        try:
            os.link(draft, path)
        finally:
            draft.unlink()
    else:
        os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _as_toml(config: LinkConfig) -> str:
    lines = (
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in config.model_dump().items()
    )
    return "# Written by `cairn clinic join`.\n" + "\n".join(lines) + "\n"
