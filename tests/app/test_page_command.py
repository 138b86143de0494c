"""`cairn clinic page` as it is typed: a link that opens, another link, an end; loopback alone."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_app.page_command import PORT, _is_journal
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.page.serving import PORT as PORT_OF_THE_PAGE
from cairn_client.sockets import Sockets
from cairn_protocol.errors import InputError
from keeper_bench import write_clinic

COMMAND = "from cairn_app.cli import main; main()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_clinic(tmp_path_factory.mktemp("page") / "oak", "oak", data="synthetic")
    ClinicFolder.open(made).identity()
    Sockets(made).make_folders()
    return made


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and the link that it printed."""
    words = ["clinic", "page", "--folder", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    link = re.fullmatch(
        r"Open  (http://127\.0\.0\.1:\d+/enter\?link=\S+)\n", process.stdout.readline()
    )
    assert link is not None
    yield process, link[1]
    process.kill()
    process.wait(10)


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, ["clinic", "page", *map(str, words)])


def opened(link: str) -> tuple[int, str]:
    """(status, cookie) of a browser that goes there."""
    host, _, path = link.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", f"/{path}")
    reply = connection.getresponse()
    assert "server" not in {name.lower() for name, _ in reply.getheaders()}
    return reply.status, reply.getheader("set-cookie") or ""


def test_it_prints_a_link_that_opens_once_and_gives_another(
    page: tuple[subprocess.Popen[str], str], folder: Path
) -> None:
    process, link = page
    status, cookie = opened(link)
    assert (status, "HttpOnly" in cookie) == (303, True)
    assert opened(link)[0] == 401
    more = typed("--folder", folder, "--link", "--json")
    assert more.exit_code == 0
    again = json.loads(more.output)
    assert again["link"].startswith(again["page"])
    assert opened(again["link"])[0] == 303
    note = Sockets(folder).admin.parent / "page.json"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    process.send_signal(signal.SIGTERM)
    said, complained = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in complained
    assert link not in complained + said
    assert not note.exists()


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.0.1", "::", "clinic.example"])
def test_another_machine_cannot_be_let_in(folder: Path, address: str) -> None:
    done = typed("--folder", folder, "--address", address, "--port", 0)
    assert isinstance(done.exception, InputError)
    assert done.exception.code == "input.page-address"


def test_a_link_to_no_page_is_refused(folder: Path, tmp_path: Path) -> None:
    other = write_clinic(tmp_path / "elm", "elm")
    done = typed("--folder", other, "--link")
    assert isinstance(done.exception, InputError)
    assert done.exception.code == "input.page-none"


def test_a_journal_gets_no_link(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as output:
        there = os.fstat(output.fileno())
        assert not _is_journal(output.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        assert _is_journal(output.fileno())


def test_one_port_is_told_everywhere() -> None:
    assert PORT == PORT_OF_THE_PAGE
    unit = Path(__file__).parents[2] / "deploy" / "systemd" / "cairn-page.service"
    assert f"SocketBindAllow=tcp:{PORT}\n" in unit.read_text()
