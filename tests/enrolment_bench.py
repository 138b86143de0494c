"""A research team's server with its registry on loopback, and clinics to join it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cairn_client.clinic_folder import ClinicFolder
from cairn_protocol.enrolment.token import JoinToken
from cairn_server.home import Listener, ServerConfig, ServerHome
from cairn_server.registry import Registry
from cairn_server.store import Store
from cairn_server.tokens import issue_token

HOST = "127.0.0.1"


def utc_now() -> datetime:
    return datetime.now(UTC)


def make_home(
    path: Path, *, hosts: tuple[str, ...] = (HOST, "localhost"), now: datetime | None = None
) -> ServerHome:
    config = ServerConfig(name="team", hosts=hosts, registry=Listener(listen=HOST, port=8444))
    return ServerHome.create(path, config, now or utc_now())


def make_clinic(path: Path, name: str) -> ClinicFolder:
    path.mkdir(parents=True)
    (path / "clinic.toml").write_text(f'name = "{name}"\n')
    return ClinicFolder.open(path)


@dataclass
class Nodes:
    """Stands in for the fleet: gives out nodes and notes what was revoked."""

    keys: dict[bytes, int] = field(default_factory=dict)
    revoked: list[int] = field(default_factory=list)
    seen: dict[int, datetime] = field(default_factory=dict)
    fails: bool = False

    def enrol(self, key: bytes) -> int:
        if self.fails:
            raise RuntimeError("the fleet's database is away")
        return self.keys.setdefault(key, 2**64 - 1 - len(self.keys))

    def revoke(self, node: int) -> None:
        self.revoked.append(node)

    def last_seen(self, node: int) -> datetime | None:
        return self.seen.get(node)


@dataclass
class Bench:
    """A running registry. `token` gives one that leads to it."""

    home: ServerHome
    store: Store
    registry: Registry
    nodes: Nodes

    def token(self, clinic: str, **options: Any) -> JoinToken:
        token = issue_token(self.home, self.store, clinic, utc_now(), **options)
        return replace(token, port=self.registry.port)


@contextmanager
def serving(
    home: ServerHome,
    *,
    now: Callable[[], datetime] = utc_now,
    nodes: Nodes | None = None,
    port: int = 0,
    **options: Any,
) -> Iterator[Bench]:
    nodes = nodes or Nodes()
    logging.getLogger("cairn_server.registry").setLevel(logging.INFO)
    with (
        home.store() as store,
        Registry(
            home,
            store,
            enrol_node=nodes.enrol,
            revoke_node=nodes.revoke,
            last_seen=nodes.last_seen,
            port=port,
            now=now,
            **options,
        ) as registry,
    ):
        yield Bench(home, store, registry, nodes)
