"""Enrolment and revocation reach the real fleet endpoint, through restarts of both."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from cairn_client.enrolment import LinkFolder, join
from cairn_protocol.errors import CairnError, InputError
from cairn_server.fleet import FleetEndpoint
from cairn_server.home import ServerHome
from cairn_server.registry import Registry
from enrolment_bench import HOST, Bench, Nodes, make_clinic, make_home


def running(stack: ExitStack, place: Path) -> tuple[Bench, FleetEndpoint]:
    home_path = place / "server"
    home = ServerHome.open(home_path) if home_path.exists() else make_home(home_path)
    fleet = stack.enter_context(
        FleetEndpoint(home.flower_database, HOST, 0, home.certificate, home.key)
    )
    store = stack.enter_context(home.store())
    registry = stack.enter_context(
        Registry(
            home,
            store,
            enrol_node=fleet.enrol,
            revoke_node=fleet.revoke,
            last_seen=fleet.last_seen,
            port=0,
        )
    )
    return Bench(home, store, registry, Nodes()), fleet


def test_a_node_is_enrolled_once_and_revoked_for_ever(tmp_path: Path) -> None:
    oak = make_clinic(tmp_path / "oak", "oak")
    link = LinkFolder.of(oak)
    with ExitStack() as stack:
        bench, fleet = running(stack, tmp_path)
        node = join(oak, bench.token("oak")).link.node_id
        assert fleet.enrol(link.node_public_key()) == node
    with ExitStack() as stack:
        bench, fleet = running(stack, tmp_path)
        assert fleet.enrol(link.node_public_key()) == node
        bench.store.revoke("oak")
        bench.registry.sweep()
        with pytest.raises(InputError, match="revoked"):
            fleet.enrol(link.node_public_key())
    with ExitStack() as stack:  # revoked in both, or in the store alone when the server fell
        bench, fleet = running(stack, tmp_path)
        bench.registry.sweep()
        token = bench.token("oak")
        (link.path / "link.toml").unlink()
        with pytest.raises(CairnError, match="node-key-revoked"):
            join(oak, token)
        link.key_file.unlink()
        again = join(oak, token).link.node_id
        assert again != node
        bench.registry.sweep()
        assert fleet.enrol(link.node_public_key()) == again
