"""A machine of a test's own that systemd has booted, with this checkout's Cairn in /opt/cairn.

Its root is a layer above this machine's and goes with it, /tmp and /run are empty, processes and
network are nobody else's: whatever systemd cleans, makes or kills at boot, it does there alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[1]
SYSTEMD: Final = Path("/lib/systemd/systemd")
PATIENCE: Final = 60.0  # seconds
NAMESPACES: Final = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--net", "--ipc"),
    *("--uts", "--propagation", "private"),
)
PARTS: Final = ("protocol", "privacy", "models", "client", "server", "app")
BOOT: Final = r"""
set -e
mount -t tmpfs -o mode=755 none "$LAYER"
mkdir "$LAYER/up" "$LAYER/work" "$LAYER/root"
R=$LAYER/root
mount -t overlay none -o "lowerdir=/,upperdir=$LAYER/up,workdir=$LAYER/work" "$R"
mount -t proc proc "$R/proc"
mount -t sysfs -o ro sysfs "$R/sys"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$R/run"
mount -t tmpfs -o mode=1777 none "$R/tmp"
mount -t tmpfs -o mode=755 none "$R/dev"
for node in null zero full random urandom tty; do
    touch "$R/dev/$node"
    mount --bind "/dev/$node" "$R/dev/$node"
done
mkdir "$R/dev/pts" "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/dev/pts"
mount -t tmpfs none "$R/dev/shm"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
touch "$R/dev/console"
mkdir -p "$R/opt/python" "$R/opt/site" "$R/usr/local/src/cairn" "$R/opt/cairn/bin"
mount --bind "$BASE" "$R/opt/python"
mount --bind "$SITE" "$R/opt/site"
mount --bind "$CHECKOUT" "$R/usr/local/src/cairn"
mkdir "$R/old"
cd "$R"
pivot_root . old
umount -l /old
# Nothing below may touch the machine that this one stands on.
[ "$(findmnt -n -o FSTYPE /)" = overlay ] && [ "$(findmnt -n -o FSTYPE /tmp)" = tmpfs ]
rm -rf /etc/systemd/system/*.wants
: > /etc/machine-id
echo /opt/python/lib > /etc/ld.so.conf.d/000-python.conf
ldconfig
mkdir -p "/opt/cairn/lib/$PYTHON/site-packages"
ln -s "/opt/python/bin/$PYTHON" /opt/cairn/bin/python
echo 'home = /opt/python/bin' > /opt/cairn/pyvenv.cfg
for part in $PARTS; do echo "/usr/local/src/cairn/$part"; done \
    > "/opt/cairn/lib/$PYTHON/site-packages/cairn.pth"
echo /opt/site >> "/opt/cairn/lib/$PYTHON/site-packages/cairn.pth"
printf '#!/opt/cairn/bin/python -P\nfrom cairn_app.cli import main\nmain()\n' > /opt/cairn/bin/cairn
chmod +x /opt/cairn/bin/cairn
ln -sf /opt/cairn/bin/cairn /usr/local/bin/cairn
mount --make-rshared /  # a service's credentials are mounted by a child of systemd's
export container=test
exec /lib/systemd/systemd --unit=multi-user.target >/dev/null 2>&1
"""


@dataclass(frozen=True)
class Machine:
    """A booted machine; `process` is the id of its systemd here."""

    process: int

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """What a shell script says there, as root."""
        return subprocess.run(
            ["nsenter", "--target", str(self.process), "--all", "bash", "-c", script],
            check=False, capture_output=True, text=True, timeout=10 * PATIENCE, cwd="/",
        )  # fmt: skip


def why_not() -> str:
    """Why systemd cannot be booted here, or nothing."""
    if os.geteuid() != 0:
        return "only root can boot a systemd"
    if not SYSTEMD.exists():
        return "no systemd on this machine"
    missing = [name for name in ("unshare", "nsenter", "findmnt") if shutil.which(name) is None]
    if missing:
        return f"no command {missing[0]}"
    if _cgroups() is None:
        return "no cgroup2 hierarchy is mounted here"
    probe = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay none -o "
    probe += "lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
    tried = subprocess.run([*NAMESPACES, "sh", "-c", probe], capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


def _cgroups() -> Path | None:
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next((Path(where) for _, where, kind, *_ in mounts if kind == "cgroup2"), None)


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """A machine that has reached its multi-user target; `folder` is empty before and after."""
    hierarchy = _cgroups()
    assert hierarchy is not None
    group = hierarchy / f"cairn-test-{os.getpid()}"
    group.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "LAYER": str(folder), "CHECKOUT": str(CHECKOUT),
        "BASE": sys.base_prefix, "PARTS": " ".join(PARTS),
        "SITE": str(Path(sys.prefix) / "lib" / _python() / "site-packages"), "PYTHON": _python(),
    }  # fmt: skip
    enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    started = subprocess.Popen(
        ["sh", "-c", enter, "sh", *NAMESPACES, "bash", "-c", BOOT], env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield _up(started)
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait()
        _remove(group)


def _up(started: subprocess.Popen[bytes]) -> Machine:
    end, children = time.monotonic() + PATIENCE, Path(f"/proc/{started.pid}/task/{started.pid}")
    while time.monotonic() < end:
        if started.poll() is not None:
            assert started.stdout is not None
            raise AssertionError(started.stdout.read().decode(errors="replace"))
        found = (children / "children").read_text().split()
        if found and Path(f"/proc/{found[0]}/exe").resolve().name == "systemd":
            machine = Machine(int(found[0]))
            if machine.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}:
                return machine
        time.sleep(0.2)
    raise AssertionError("systemd has not come up")


def _remove(group: Path) -> None:
    end = time.monotonic() + PATIENCE
    while group.exists():
        inner = sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True)
        for folder in (*inner, group):
            with suppress(OSError):  # its processes are still ending
                folder.rmdir()
        assert time.monotonic() < end, "processes of the booted machine are still there"
        time.sleep(0.1)


def _python() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"
