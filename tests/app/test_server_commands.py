"""`cairn server …` and `cairn clinic join` as people type them, against a registry that runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from cairn_app.cli import main
from cairn_server.home import ServerHome
from enrolment_bench import HOST, Bench, serving


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def cairn(*arguments: object, said: str = "") -> Done:
    """The command in this process: starting one takes half a second each time."""
    out, err, status = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["cairn", *map(str, arguments)])
        patch.setattr(sys, "stdin", StringIO(said))
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                status = int(end.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


def cairn_apart(*arguments: object, said: str = "") -> Done:
    """The command as a process of its own."""
    command = [Path(sys.executable).parent / "cairn", *map(str, arguments)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, input=said
    )
    return Done(done.returncode, done.stdout, done.stderr)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "server"
    made = cairn(
        *("server", "init", "--home", path, "--host", HOST, "--listen", HOST),
        *("--registry-port", free_port(), "--fleet-port", free_port()),
    )
    assert made.returncode == 0, made.stderr
    return path


@pytest.fixture
def running(home: Path) -> Iterator[Bench]:
    opened = ServerHome.open(home)
    with serving(opened, port=opened.config.registry.port) as bench:
        yield bench


@pytest.fixture
def oak(tmp_path: Path) -> Path:
    folder = tmp_path / "oak"
    folder.mkdir()
    (folder / "clinic.toml").write_text('name = "oak"\n')
    return folder


def token_for(home: Path, clinic: str) -> str:
    done = cairn("server", "enrol", clinic, "--home", home, "--json")
    return str(json.loads(done.stdout)["token"])


def test_init_says_what_to_compare_and_what_comes_next(tmp_path: Path) -> None:
    done = cairn("server", "init", "--home", tmp_path / "s", "--host", "cairn.example.org")
    assert done.returncode == 0
    for words in ("authority", "team", "8443", "8444", "cairn server enrol NAME", "keep a copy"):
        assert words in done.stdout


def test_from_init_to_roster(running: Bench, home: Path, oak: Path) -> None:
    invited = cairn("server", "enrol", "oak", "--home", home)
    assert invited.returncode == 0
    token = invited.stdout.splitlines()[2].strip()
    assert "invited" in cairn("server", "roster", "--home", home).stdout

    joined = cairn_apart("clinic", "join", "--folder", oak, said=token.upper())
    assert joined.returncode == 0, joined.stderr
    assert running.home.team().fingerprint in joined.stdout
    assert "telephone" in joined.stdout
    assert token not in joined.stdout

    roster = json.loads(cairn_apart("server", "roster", "--home", home, "--json").stdout)
    assert [(c["clinic"], c["state"]) for c in roster] == [("oak", "enrolled")]
    assert roster[0]["fingerprint"] in joined.stdout
    shown = cairn("server", "status", "--home", home).stdout
    assert "answers" in shown
    assert "not running" in shown, "the fleet"
    assert "1 enrolled" in shown

    again = cairn("clinic", "join", "--folder", oak, token)
    assert again.returncode == 2
    assert "input.already-joined" in again.stderr


def test_revoking_is_for_clinics_and_for_invitations(running: Bench, home: Path, oak: Path) -> None:
    token = token_for(home, "oak")
    withdrawn = cairn("server", "revoke", "oak", "--home", home)
    assert "withdrawn" in withdrawn.stdout
    assert "input.token-expired" in cairn("clinic", "join", "--folder", oak, token).stderr

    assert cairn("clinic", "join", "--folder", oak, token_for(home, "oak")).returncode == 0
    assert "input.name-enrolled" in cairn("server", "enrol", "oak", "--home", home).stderr
    assert "refuses it" in cairn("server", "revoke", "oak", "--home", home).stdout
    assert cairn("server", "revoke", "oak", "--home", home).returncode == 0
    assert "oak\n  revoked" in cairn("server", "roster", "--home", home).stdout
    assert "input.clinic-unknown" in cairn("server", "revoke", "elm", "--home", home).stderr


def test_a_token_may_be_given_in_pieces_as_it_is_printed(
    running: Bench, home: Path, oak: Path
) -> None:
    pieces = token_for(home, "oak").split("-")
    joined = cairn("clinic", "join", "--folder", oak, "--json", *pieces)
    assert json.loads(joined.stdout)["clinic"] == "oak"


def test_renewal(home: Path) -> None:
    before = (home / "ca.pem").read_bytes()
    done = cairn("server", "init", "--home", home, "--renew-certificate")
    assert done.returncode == 0, done.stderr
    assert (home / "ca.pem").read_bytes() == before
    other = cairn("server", "init", "--home", home, "--renew-certificate", "--host", "x.org")
    assert "input.host-unlisted" in other.stderr


def test_json_is_one_object(home: Path, tmp_path: Path) -> None:
    for arguments in (("status",), ("roster",), ("enrol", "ash")):
        done = cairn("server", *arguments, "--home", home, "--json")
        assert done.returncode == 0
        json.loads(done.stdout)
    made = cairn("server", "init", "--home", tmp_path / "b", "--host", HOST, "--json")
    assert json.loads(made.stdout)["hosts"] == [HOST]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("init", "--host", HOST), "input.home-exists"),
        (("init",), "input.host-missing"),
        (("enrol", "Oak Street"), "input.clinic-name"),
        (("enrol", "oak", "--days", "99"), "input.token-days"),
        (("revoke", "nobody"), "input.clinic-unknown"),
    ],
)
def test_a_mistake_is_named_with_a_remedy(home: Path, arguments: tuple[str], code: str) -> None:
    done = cairn("server", *arguments, "--home", home)
    assert done.returncode == 2
    assert code in done.stderr
    assert "hint:" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--host", "https://x"),
        ("--name", "The Team"),
        ("--fleet-port", "0"),
        ("--fleet-port", "9000", "--registry-port", "9000"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: tuple[str]) -> None:
    done = cairn("server", "init", "--home", tmp_path / "s", "--host", HOST, *options)
    assert done.returncode == 2
    assert "input.server-options" in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    for command in (("status",), ("roster",), ("enrol", "oak"), ("revoke", "oak")):
        done = cairn("server", *command, "--home", tmp_path / "none")
        assert done.returncode == 2
        assert "input.home-missing" in done.stderr


def test_joining_without_a_token_a_folder_or_a_server(home: Path, oak: Path) -> None:
    token = token_for(home, "oak")
    assert "input.token-mistyped" in cairn("clinic", "join", "--folder", oak).stderr
    assert "input.no-clinic-toml" in cairn("clinic", "join", "--folder", home, token).stderr
    assert "input.server-not-running" in cairn("clinic", "join", "--folder", oak, token).stderr
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    assert "input.token-mistyped" in cairn("clinic", "join", "--folder", oak, wrong).stderr
