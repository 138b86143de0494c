"""What is committed is what `make protos` generates, and it needs no gRPC."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path("cairn_protocol") / "proto"
COMMITTED = ROOT / "protocol" / FOLDER


@pytest.mark.skipif(
    importlib.util.find_spec("grpc_tools") is None, reason="grpcio-tools is not installed"
)
def test_the_generated_files_are_those_of_the_proto_files(tmp_path: Path) -> None:
    subprocess.run(
        [ROOT / "deploy" / "make-protos", tmp_path],
        check=True,
        env={**os.environ, "PYTHON": sys.executable},
    )
    made = {path.name: path.read_text() for path in (tmp_path / FOLDER).glob("*_pb2.py*")}
    there = {path.name: path.read_text() for path in COMMITTED.glob("*_pb2.py*")}
    assert sorted(made) == sorted(there)
    assert [name for name in made if made[name] != there[name]] == []


def test_every_proto_file_has_its_messages_and_no_stubs() -> None:
    protos = {path.stem for path in COMMITTED.glob("*.proto")}
    assert protos == {path.stem.removesuffix("_pb2") for path in COMMITTED.glob("*_pb2.py")}
    assert not list(COMMITTED.glob("*_pb2_grpc.py"))
