"""The services are hardened, say why where they are not, and the installer gives what is whose."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from cairn_client.key_source import CREDENTIAL
from enrolment_bench import make_clinic

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
DAEMONS = [SYSTEMD / f"cairn-{part}.service" for part in ("keeper", "link")]
PAGE = SYSTEMD / "cairn-page.service"
MOST_EXPOSED = 2.0
# What widens what a service may do, or a list of which it takes a part back.
LOOSENS = re.compile(
    r"^(ReadWritePaths|BindPaths|RestrictAddressFamilies|ProcSubset=all|PrivateNetwork=no|"
    r"IPAddressAllow|SocketBindAllow|ProtectProc=default|MemoryDenyWriteExecute=no|"
    r"SystemCallFilter=(?!~|@system-service))",
)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def settings(unit: Path) -> list[tuple[str, str]]:
    """(line, the line before it) of each setting."""
    lines = unit.read_text().splitlines()
    pairs = zip(lines, ["", *lines], strict=False)
    return [(line, before) for line, before in pairs if "=" in line and not line.startswith("#")]


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_its_exposure_is_small(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--json=short", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said.stdout)
    assert level is not None
    assert float(level[1]) <= MOST_EXPOSED
    told = re.search(r"gives ([0-9.]+);", unit.read_text())
    assert told is None or told[1] == level[1], "the comment says what the command says"


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    there = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    (tmp_path / unit.name).write_text(there)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if unit.name in line and "Unknown" in line]
    assert ours == []


@pytest.mark.parametrize(
    "unit", [*DAEMONS, PAGE, *sorted(SYSTEMD.glob("*.conf"))], ids=lambda unit: unit.name
)
def test_each_loosened_line_has_its_reason_above_it(unit: Path) -> None:
    block = ""
    for line in unit.read_text().splitlines():
        if line.startswith("# Loosened: "):
            block = line
        elif not line or line.startswith(("#", "[")):
            block = block if line.startswith("#") else ""
        elif LOOSENS.match(line):
            assert block, f"{unit.name}: {line}"


def test_the_key_comes_as_a_credential_and_the_link_sees_no_record() -> None:
    keeper, link = ([line for line, _ in settings(unit)] for unit in DAEMONS)
    assert f"LoadCredentialEncrypted={CREDENTIAL}" in keeper
    assert "TemporaryFileSystem=/var/lib/cairn/clinic:ro" in link
    bound = [line for line in link if line.startswith("Bind")]
    assert not [line for line in bound if ".cairn" in line or line.endswith("/clinic")]
    for lines in (keeper, link):
        assert {"LimitCORE=0", "UMask=0077", "NoNewPrivileges=yes"} <= set(lines)
        assert [line for line in lines if line.startswith("User=")] != ["User=root"]


def test_the_page_finds_no_file_of_the_clinic_and_no_other_machine() -> None:
    lines = [line for line, _ in settings(PAGE)]
    assert "TemporaryFileSystem=/var/lib/cairn/clinic:ro" in lines
    bound = {line.partition("=")[2].lstrip("-") for line in lines if line.startswith("Bind")}
    clinic = "/var/lib/cairn/clinic"
    assert bound == {f"{clinic}/clinic.toml", f"{clinic}/run/status", f"{clinic}/run/admin"}
    assert {"IPAddressDeny=any", "IPAddressAllow=localhost", "SocketBindDeny=any"} <= set(lines)
    assert {"LimitCORE=0", "UMask=0077", "User=cairn-keeper"} <= set(lines)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to users needs root")
def test_the_installer_gives_each_user_what_is_theirs() -> None:
    root = Path(tempfile.mkdtemp(prefix="cairn-units-"))
    try:
        root.chmod(0o711)
        clinic = make_clinic(root / "oak", "oak")
        clinic.identity()
        (clinic.path / "link").mkdir()
        (clinic.path / "link" / "node.key").write_text("x")
        (clinic.path / "scores.csv").write_text("patient\n")
        words = {"CLINIC": str(clinic.path), "KEEPER": "daemon", "LINK": "nobody", "UNITS": ""}
        for _ in range(2):
            command = ["sh", str(SYSTEMD / "install")]
            subprocess.run(command, check=True, env={**os.environ, **words}, capture_output=True)
        modes = {
            str(p.relative_to(clinic.path)): (p.owner(), oct(p.stat().st_mode & 0o777))
            for p in clinic.path.rglob("*")
        }
        assert modes[".cairn/identity.key"] == ("daemon", "0o600")
        assert modes[".cairn"] == ("daemon", "0o700")
        assert modes["scores.csv"] == ("daemon", "0o600")
        assert modes["link/node.key"] == ("nobody", "0o600")
        assert modes["run/admin"] == ("daemon", "0o700")
        assert modes["run/link"] == ("daemon", "0o750")
        assert (clinic.path / "run" / "link").stat().st_gid == (clinic.path / "link").stat().st_gid
        assert modes["run/status"] == ("nobody", "0o755")
        assert modes["clinic.toml"] == ("daemon", "0o644")
    finally:
        shutil.rmtree(root)
