"""No test forks its own process: it has threads, and a lock that one holds is held for ever.

A child forked beside gRPC's threads now and then never came to life, and its test never ended.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLEAN = {"keeper_crash.py"}  # itself a process that only forks


def forks(text: str) -> list[int]:
    """Lines that fork."""
    found = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(ast.Name("os"), "fork" | "forkpty"):
                found.append(node.lineno)
            case ast.Attribute(ast.Name("multiprocessing"), "Pool" | "Process"):
                found.append(node.lineno)
            case ast.keyword("preexec_fn"):
                found.append(node.lineno)
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name), [ast.Constant("fork")]):
                found += [node.lineno] * (name == "get_context")
    return found


def test_no_test_forks_itself() -> None:
    files = [file for file in TESTS.rglob("*.py") if file.name not in CLEAN]
    found = {file.name: lines for file in files if (lines := forks(file.read_text()))}
    assert len(files) > 300
    assert not found


@pytest.mark.parametrize("text", [
    "os.fork()", "Popen([], preexec_fn=f)", "multiprocessing.Pool(2)", "get_context('fork')",
    "multiprocessing.get_context('fork').Pool(2)",
])  # fmt: skip
def test_a_fork_is_found(text: str) -> None:
    assert forks(text) == [1]
