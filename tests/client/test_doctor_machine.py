"""The doctor on the machine itself: clock, disk, versions, memory; each fault is planted."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cairn_client.doctor import examine
from cairn_client.doctor import machine as machine_module
from cairn_client.doctor.clock import clock, kernel_state
from cairn_client.doctor.disk import disk, file_system
from cairn_client.doctor.examine import whole
from cairn_client.doctor.finding import Finding, Level, Report, ok, problem, warning
from cairn_client.doctor.machine import Machine, resources, versions
from cairn_client.doctor.site import limited
from doctor_bench import levels, one, site_of
from enrolment_bench import make_clinic

AS_ROOT = os.geteuid() == 0


def test_a_fault_without_a_remedy_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="no remedy"):
        Finding("x.y", Level.PROBLEM, "it is broken")
    with pytest.raises(ValueError, match="no remedy"):
        warning("x.y", "it is odd", remedy="")


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ((), 0),
        ((ok("a.b", "well"),), 0),
        ((ok("a.b", "well"), warning("a.c", "hm", remedy="look")), 1),
        ((problem("a.d", "no", remedy="mend"), warning("a.c", "hm", remedy="look")), 2),
    ],
)
def test_the_exit_status_is_that_of_the_worst(found: tuple[Finding, ...], status: int) -> None:
    report = Report.of((("a", found),))
    assert report.exit_status == status
    assert report.to_json()["status"] == status


def test_a_check_that_breaks_off_says_its_type_and_nothing_of_its_words() -> None:
    def broken() -> list[Finding]:
        raise RuntimeError("patient SECRET-7")

    (found,) = whole("a", broken)
    assert (found.code, found.why) == ("a.broke-off", "RuntimeError")
    assert "SECRET" not in str(found)


def test_what_takes_too_long_is_left_behind() -> None:
    with pytest.raises(TimeoutError):
        limited(lambda: signal.sigtimedwait([signal.SIGUSR2], 30), 0.05)
    with pytest.raises(KeyError):
        limited(lambda: {}["x"], 5)
    assert limited(lambda: 7, 5) == 7


@pytest.mark.parametrize(
    ("ahead", "level"),
    [
        (0.3, Level.OK),
        (-1.0, Level.OK),
        (4.0, Level.WARNING),
        (-200.0, Level.WARNING),
        (6.0, Level.PROBLEM),
        (-301.0, Level.PROBLEM),
        (None, Level.UNCHECKED),
    ],
)
def test_a_clock_is_judged_as_the_server_judges_it(ahead: float | None, level: Level) -> None:
    assert one(clock(ahead, lambda: 0), "clock.server").level == level


def test_an_unkept_clock_is_a_warning() -> None:
    """The kernel's word is put in its mouth: setting it needs a privilege that tests lack."""
    said = {state: one(clock(0, lambda s=state: s), "clock.kept").level for state in (0, 3, 5)}
    assert said == {0: Level.OK, 3: Level.OK, 5: Level.WARNING}
    assert one(clock(0, lambda: None), "clock.kept").level == Level.UNCHECKED
    assert kernel_state() in {None, 0, 1, 2, 3, 4, 5}


def test_a_good_disk_is_good_and_nothing_stays_on_it(tmp_path: Path) -> None:
    site = site_of(make_clinic(tmp_path / "oak", "oak").path)
    found = levels(disk(site))
    assert found["disk.sync"] in {Level.OK, Level.WARNING}
    assert {file.name for file in site.path.iterdir()} == {"clinic.toml"}
    assert file_system(site.path)


def test_a_disk_on_which_nothing_can_be_written_is_a_problem(tmp_path: Path) -> None:
    """A process that may make files of no byte (RLIMIT_FSIZE) meets what a full disk gives it."""
    folder = make_clinic(tmp_path / "oak", "oak").path
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from doctor_bench import site_of; from cairn_client.doctor.disk import disk\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"site = site_of(Path({str(folder)!r}))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "print([(f.code, f.level.value, f.why) for f in disk(site)])\n"
    )
    told = _python(code)
    assert "('disk.sync', 'problem', 'File too large')" in told
    assert {file.name for file in folder.iterdir()} == {"clinic.toml"}


def test_hardly_any_room_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_of(make_clinic(tmp_path / "oak", "oak").path)
    there = os.statvfs(site.path)

    def with_room(blocks: int) -> Level:
        fields = list(there)[:10]
        fields[4] = blocks
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
        return levels(disk(site))["disk.room"]

    a_megabyte = (1 << 20) // there.f_frsize
    assert [with_room(a_megabyte * mb) for mb in (0, 63, 500, 5000)] == [
        Level.PROBLEM,
        Level.PROBLEM,
        Level.WARNING,
        Level.OK,
    ]


@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
def test_a_full_disk_for_real(tmp_path: Path) -> None:
    folder = make_clinic(tmp_path / "oak", "oak").path
    state = folder / ".cairn"
    state.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", state],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        with pytest.raises(OSError, match="No space"):
            (state / "filler").write_bytes(bytes(1 << 20))
        found = levels(disk(site_of(folder)))
    finally:
        subprocess.run(["umount", "-l", state], check=True)
    assert found["disk.room"] == found["disk.sync"] == Level.PROBLEM
    assert found["disk.memory"] == Level.WARNING


def test_a_network_file_system_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_of(make_clinic(tmp_path / "oak", "oak").path)
    monkeypatch.setattr("cairn_client.doctor.disk.file_system", lambda _: "nfs4")
    assert levels(disk(site))["disk.network"] == Level.PROBLEM


def test_this_machine_has_the_versions_that_cairn_wants() -> None:
    assert set(levels(versions()).values()) == {Level.OK}


def test_another_flower_and_an_older_keeper_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine_module.version
    monkeypatch.setattr(
        machine_module, "version", lambda name: "1.410.2" if name == "flwr" else real(name)
    )
    wrong = one(versions(), "versions.pinned")
    assert wrong.level == Level.PROBLEM
    assert "flwr==1.41.*" in wrong.remedy
    assert one(versions("0.0.9"), "versions.keeper-older").level == Level.WARNING


def test_little_memory_is_said_before_a_study_needs_it() -> None:
    sizes = (500, 900, 4000)
    said = [one(resources(Machine(mb << 20, 2)), "resources.memory").level for mb in sizes]
    assert said == [Level.PROBLEM, Level.WARNING, Level.OK]
    assert Machine.here().memory > 0


def test_what_is_no_clinic_is_examined_as_far_as_it_goes(tmp_path: Path) -> None:
    report = examine(tmp_path)
    assert report.exit_status == 2
    assert report.findings[0].code == "input.no-clinic-toml"
    assert "init" in report.findings[0].remedy
    assert {name for name, _ in report.families} == {"clinic", "versions", "resources", "clock"}
    assert not list(tmp_path.iterdir())


def test_before_joining_nothing_is_wrong_but_what_is(tmp_path: Path) -> None:
    clinic = make_clinic(tmp_path / "oak", "oak")
    clinic.identity()
    before = {f: f.stat().st_mtime_ns for f in clinic.path.rglob("*") if f.is_file()}
    report = examine(clinic.path, seconds=0.5)
    wrong = {f.code for f in report.findings if f.remedy}
    assert wrong <= {"clock.kept", "keys.source", "resources.memory", "disk.sync", "disk.memory"}
    assert before == {f: f.stat().st_mtime_ns for f in clinic.path.rglob("*") if f.is_file()}


def _python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0
    return done.stdout
