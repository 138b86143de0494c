"""`ServerHome`: the research team's server as a folder.

server.toml     the team's name, how clinics reach the server, where it listens
team.key        Ed25519: signs studies, rosters and enrolments
ca.key ca.pem   the certificate authority that clinics pin
server.key server.pem   the server's key, and its certificate followed by the authority's
store.sqlite    clinics, tokens, studies, runs (`cairn_server.store`)
flower.sqlite   Flower's own

The folder is 0700 and every private key 0600. Nothing here is overwritten but server.pem, when it
is renewed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.roster import CLINIC_NAME
from cairn_protocol.study import parse_toml, read_bounded
from cairn_server import pki
from cairn_server.exchange import Deadlines
from cairn_server.files import make_new, read_private, replace, sync
from cairn_server.pki import Authority
from cairn_server.store import Store
from cairn_server.store_systems import has_password

LARGEST_FILE: Final = 64 * 1024
IDENTITY_BYTES: Final = 32
FLEET_PORT, REGISTRY_PORT = 8443, 8444
EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 — only compared with


class Listener(BaseModel):
    """Where a part of the server listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = "0.0.0.0"  # noqa: S104 — clinics come from outside; the firewall is the team's
    port: int = Field(gt=0, lt=1 << 16)


class Waiting(BaseModel):
    """How long a run waits for clinics, in seconds.

    `to_begin`: for enough of them to agree on keys, and again after each void round · `for_all`:
    for the others, at a run's beginning · `answer`: for an answer without which a round is void ·
    `grace`: for the others, once enough have answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    to_begin: float = Field(default=24 * 3600.0, ge=0)
    for_all: float = Field(default=3600.0, ge=0)
    answer: float = Field(default=600.0, ge=1)
    grace: float = Field(default=20.0, ge=0)

    @property
    def deadlines(self) -> Deadlines:
        """All that a run needs."""
        return Deadlines(
            set_up=min(30.0, self.answer),
            round=self.answer,
            close=10.0,
            patience=self.to_begin,
            pause=5.0,
            grace=self.grace,
            muster=self.for_all,
        )


class ServerConfig(BaseModel):
    """server.toml. `hosts` are the names and addresses of this server; clinics use the first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{CLINIC_NAME.pattern}$", max_length=63)
    hosts: tuple[str, ...] = Field(min_length=1, max_length=32)
    fleet: Listener = Listener(port=FLEET_PORT)
    registry: Listener = Listener(port=REGISTRY_PORT)
    waiting: Waiting = Waiting()
    store: str = ""  # an SQLAlchemy URL; empty: store.sqlite in this folder

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            try:
                pki.check_host(host)
            except InputError as error:
                raise ValueError(error.what) from None
        return hosts

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        places = {self.fleet.listen, self.registry.listen}
        meet = len(places) == 1 or not places.isdisjoint(EVERYWHERE)
        if self.fleet.port == self.registry.port and meet:
            raise ValueError("the fleet and the registry need a port each")
        return self

    @property
    def fleet_url(self) -> str:
        """Where clinics' links connect to."""
        host = self.hosts[0]
        return f"https://{f'[{host}]' if ':' in host else host}:{self.fleet.port}"


@dataclass(frozen=True)
class ServerHome:
    """A server's folder and its configuration. Keys are read when they are asked for."""

    path: Path
    config: ServerConfig

    @classmethod
    def create(cls, path: Path, config: ServerConfig, now: datetime) -> Self:
        """A new home in `path`: keys, certificates, an empty store.

        Raises:
            InputError: `input.home-exists`, a server lives there already.
        """
        _make_folder(path)
        home = cls(path, config)
        authority, key = Authority.create(config.name, now), pki.new_key()
        certificate = authority.issue(config.hosts, key, now)
        make_new(path / "team.key", Identity.generate().private_bytes())
        make_new(path / "ca.key", pki.key_pem(authority.key))
        make_new(path / "ca.pem", authority.pem, 0o644)
        make_new(home.key, pki.key_pem(key))
        make_new(home.certificate, pki.pem(certificate) + authority.pem, 0o644)
        home.store().close()
        make_new(path / "server.toml", _as_toml(config).encode(), 0o644)  # last: the home is whole
        return home

    @classmethod
    def open(cls, path: Path) -> Self:
        """The home in `path`.

        Raises:
            InputError: `input.home-missing`, `input.home-unreadable`, `input.home-incomplete`, or
                a server.toml that cannot be used.
        """
        if not os.access(path.parent, os.X_OK) or (
            path.is_dir() and not os.access(path, os.R_OK | os.W_OK | os.X_OK)
        ):
            raise InputError(
                f"{path} cannot be read and written by this user",
                code="home-unreadable",
                why="a server's home is open to the user who made it and to nobody else",
                hint="run the command as that user, for example with sudo -u",
            )
        if not path.is_dir():
            raise InputError(
                f"{path} is not a server's home",
                code="home-missing",
                why="there is no such folder",
                hint="make it with `cairn server init`, or give --home or CAIRN_SERVER_HOME",
            )
        missing = [name for name in _FILES if not (path / name).is_file()]
        if missing:
            raise InputError(
                f"{path} is not a whole server's home",
                code="home-incomplete",
                why=f"it has no {', '.join(missing)}",
                hint="restore the folder from its backup; if `init` was interrupted and no clinic "
                "has joined yet, remove the folder and run `cairn server init` again",
            )
        source = read_bounded(path / "server.toml", LARGEST_FILE)
        file = str(path / "server.toml")
        page = "docs/between-machines.md"
        return cls(path, parse_toml(ServerConfig, source, where=file, page=page))

    @property
    def key(self) -> Path:
        """server.key."""
        return self.path / "server.key"

    @property
    def certificate(self) -> Path:
        """server.pem: the server's certificate followed by the authority's."""
        return self.path / "server.pem"

    @property
    def flower_database(self) -> Path:
        """flower.sqlite, Flower's own."""
        return self.path / "flower.sqlite"

    def team(self) -> Identity:
        """The research team's signing identity."""
        file = self.path / "team.key"
        data = read_private(file, IDENTITY_BYTES)
        if len(data) != IDENTITY_BYTES:
            raise InputError(
                f"{file} is damaged",
                code="team-key-damaged",
                why=f"it holds {len(data)} bytes, not {IDENTITY_BYTES}",
                hint="restore it from a backup; clinics have pinned this key",
            )
        return Identity.from_private_bytes(data)

    def authority(self) -> Authority:
        """The certificate authority."""
        certificate = read_bounded(self.path / "ca.pem", LARGEST_FILE)
        return Authority.load(read_private(self.path / "ca.key", LARGEST_FILE), certificate)

    def authority_certificate(self) -> x509.Certificate:
        """The authority's certificate, without its key."""
        return _certificate(self.path / "ca.pem")

    def server_certificate(self) -> x509.Certificate:
        """The server's certificate."""
        return _certificate(self.certificate)

    def renew(self, now: datetime, hosts: Sequence[str] = ()) -> x509.Certificate:
        """A new certificate for the same key; clinics notice nothing.

        Raises:
            InputError: hosts that server.toml does not list.
        """
        if unknown := sorted(set(hosts) - set(self.config.hosts)):
            raise InputError(
                f"server.toml does not list {', '.join(unknown)}",
                code="host-unlisted",
                hint="add it to `hosts` in server.toml, then renew without --host",
            )
        key = pki.load_key(read_private(self.key, LARGEST_FILE))
        authority = self.authority()
        certificate = authority.issue(self.config.hosts, key, now)
        replace(self.certificate, pki.pem(certificate) + authority.pem, 0o644)
        return certificate

    def store(self) -> Store:
        """The store, made on first use.

        Raises:
            InputError: as `Store.open`; `input.store-password`: others could read it.
        """
        if self.config.store:
            if (
                has_password(self.config.store)
                and (self.path / "server.toml").stat().st_mode & 0o077
            ):
                raise InputError(
                    "the store's address in server.toml holds a password",
                    code="store-password",
                    why="others on this machine may read that file",
                    hint="chmod 600 server.toml, or leave it out and write it into ~/.pgpass",
                )
            return Store.open(self.config.store)
        return Store.open_file(self.path / "store.sqlite")


_FILES = ("server.toml", "team.key", "ca.key", "ca.pem", "server.key", "server.pem")


def _make_folder(path: Path) -> None:
    if (path / "server.toml").exists():
        raise InputError(
            f"a server lives in {path} already",
            code="home-exists",
            why="its keys are what clinics trust; they are never overwritten",
            hint="use it, or give another folder with --home; "
            "`--renew-certificate` renews the certificate",
        )
    try:
        path.mkdir(mode=0o700)
        sync(path.parent)
    except FileExistsError:
        if not path.is_dir() or any(path.iterdir()):
            raise InputError(
                f"{path} exists and is not empty",
                code="home-taken",
                hint="give a folder that does not exist yet",
            ) from None
        path.chmod(0o700)
    except FileNotFoundError:
        raise InputError(
            f"the folder for {path} does not exist",
            code="home-parent",
            hint=f"make {path.parent} first",
        ) from None


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(read_bounded(path, LARGEST_FILE))
    except ValueError:
        raise InputError(
            f"{path} holds no certificate",
            code="certificate-damaged",
            hint="restore it from a backup; server.pem can be made again with "
            "`cairn server init --renew-certificate`",
        ) from None


def _as_toml(config: ServerConfig) -> str:
    hosts = ", ".join(map(_quoted, config.hosts))
    return (
        f"name = {_quoted(config.name)}\n"
        f"hosts = [{hosts}]   # clinics use the first; the certificate is for all of them\n"
        f'store = {_quoted(config.store)}   # empty: store.sqlite here; or "postgresql://…"\n'
        "\n[fleet]   # where clinics' links connect to\n"
        f"listen = {_quoted(config.fleet.listen)}\n"
        f"port = {config.fleet.port}\n"
        "\n[registry]   # where clinics join and ask how they stand\n"
        f"listen = {_quoted(config.registry.listen)}\n"
        f"port = {config.registry.port}\n"
        "\n[waiting]   # seconds\n"
        f"to_begin = {config.waiting.to_begin!r}   # for enough clinics to agree on keys\n"
        f"for_all = {config.waiting.for_all!r}   # for the others, when a run begins\n"
        f"answer = {config.waiting.answer!r}   # for an answer that a round cannot do without\n"
        f"grace = {config.waiting.grace!r}   # for the others, once enough have answered\n"
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # TOML has no surrogate pairs
