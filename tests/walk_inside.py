"""Types a page's commands on a machine of its own, as the users that it names; JSON on stdout.

`on_a_machine_of_its_own` starts it in namespaces: processes, network and mounts are nobody else's,
/etc is a layer that goes with it (so the page's useradd is real), /srv is the folder given, and
/usr/local/src/cairn is this checkout. Nothing of it outlives the test.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import pwd
import re
import selectors
import signal
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import IO, Final

sys.path.insert(0, str(Path(__file__).parent))

from documented_walk import Examples, Step, steps_of

CHECKOUT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = Path("/usr/local/src")
PLACE: Final = Path("/srv/cairn")
CAIRN: Final = Path(sys.executable).parent / "cairn"
PATIENCE: Final = 120.0  # seconds; a second or two on an idle machine
END: Final = "\x1e"
# What tells and changes nothing may be asked again until it says what the page shows.
ASKS: Final = re.compile(
    r"cat |cairn (clinic (status|offers|show|doctor|results|sent)|study (approvals|watch|report))"
)
_A_DEATH: Final = re.compile(r"^bash: line \d+: +\d+ Killed .*\n", re.MULTILINE)
NAMESPACES: Final = ("unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc",
                     "--kill-child", "--propagation", "private")  # fmt: skip


Answer = tuple[Callable[[str], bool], str]  # whether its prompt has come, and what is typed then


@dataclass(frozen=True)
class Typed:
    """A step as it went."""

    line: int
    who: str
    command: str
    status: int
    said: str
    agrees: bool
    seconds: float


def why_not() -> str:
    """Why no machine of its own can be had here, or nothing."""
    if os.geteuid() != 0:
        return "only root can be three clinics' users"
    probe = "ip link set lo up && mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w && "
    probe += "mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc"
    try:
        done = subprocess.run([*NAMESPACES, "sh", "-c", probe], capture_output=True, check=False)
    except FileNotFoundError:
        return "no command unshare (package util-linux)"
    return (
        ""
        if done.returncode == 0
        else "namespaces may not be made here: "
        + (done.stderr.decode(errors="replace").strip() or f"status {done.returncode}")
    )


def on_a_machine_of_its_own(srv: Path, program: Path, *arguments: str) -> list[str]:
    """The command that runs the Python file `program` there; it calls `settle` first."""
    return [*NAMESPACES, sys.executable, str(program), str(srv), *arguments]


def settle(srv: Path) -> None:
    """Makes this machine: a network of its own, /etc to write to, /srv, this checkout."""
    assert os.getpid() == 1, "only in namespaces: see on_a_machine_of_its_own"
    layer = srv.parent / "layer"
    layer.mkdir()
    _do("ip", "link", "set", "lo", "up")
    _do("mount", "-t", "tmpfs", "none", str(layer))
    for name in ("upper", "work"):
        (layer / name).mkdir()
    over = f"lowerdir=/etc,upperdir={layer}/upper,workdir={layer}/work"
    _do("mount", "-t", "overlay", "none", "-o", over, "/etc")
    _do("mount", "--bind", str(srv), "/srv")
    _do("mount", "-t", "tmpfs", "none", str(SOURCES))
    (SOURCES / "cairn").mkdir()
    _do("mount", "--bind", str(CHECKOUT), str(SOURCES / "cairn"))
    _let_pass({Path(sys.base_prefix), Path(sys.prefix), CHECKOUT}, layer)


def _let_pass(folders: set[Path], layer: Path) -> None:
    """Where others may not pass to some of `folders`, these alone are put on empty ways there."""
    ways = {folder.resolve(): _closed(folder.resolve()) for folder in folders}
    hidden = sorted(folder for folder, way in ways.items() if way)  # what holds another comes first
    for number, folder in enumerate(hidden):
        (layer / str(number)).mkdir()
        _do("mount", "--bind", str(folder), str(layer / str(number)))
    for way in sorted({ways[folder] for folder in hidden}, key=str):
        _do("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(way))
    for number, folder in enumerate(hidden):
        folder.mkdir(parents=True, exist_ok=True)
        _do("mount", "--bind", str(layer / str(number)), str(folder))


def _closed(folder: Path) -> Path | None:
    """The first folder on the way to `folder` through which others may not pass."""
    way = reversed(folder.parents)
    return next((p for p in way if not p.stat().st_mode & stat.S_IXOTH), None)


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Shell:
    """A shell that stays: a user's, in a folder."""

    def __init__(self, user: str, folder: Path) -> None:
        account = pwd.getpwnam(user)
        self._as = {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": [],
            "cwd": folder,
            "env": _environment(user, account.pw_dir),
        }
        self._bash = self._start("--norc", "--noprofile", stdin=subprocess.PIPE)
        assert self._bash.stdin is not None
        self._in: IO[bytes] = self._bash.stdin

    def _start(self, *arguments: str, **streams: int) -> subprocess.Popen[bytes]:
        to = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | streams
        return subprocess.Popen(["bash", *arguments], **to, **self._as)  # type: ignore[call-overload,no-any-return]

    def run(self, command: str) -> tuple[int, str]:
        """Status and words of a command."""
        text = f'{{ {command}\n}} </dev/null\necho "{END}$?{END}"\n'
        self._in.write(text.encode())
        self._in.flush()
        assert self._bash.stdout is not None
        said = _read(self._bash.stdout.fileno(), lambda words: words.endswith(f"{END}\n"))
        words, status, _ = said.rsplit(END, 2)
        return int(status), _A_DEATH.sub("", words)

    def interrupted(self, command: str, until: Callable[[str], bool]) -> tuple[int, str]:
        """The same for a command that Ctrl-C ends as soon as `until(its words)`."""
        started = self._start("-c", self._here(command), stdin=subprocess.DEVNULL)
        assert started.stdout is not None
        said = _read(started.stdout.fileno(), until)
        started.send_signal(signal.SIGINT)
        return started.wait(PATIENCE), said

    def asked(self, command: str, answers: Sequence[Answer]) -> tuple[int, str]:
        """The same at a terminal, where each prompt gets its answer."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        take = 'exec 3<>/dev/pts/"$0"; '  # the first terminal that a session opens is its own
        number = os.ttyname(theirs).rpartition("/")[2]
        os.fchown(theirs, int(self._as["user"]), int(self._as["group"]))  # type: ignore[call-overload]
        started = self._start(
            "-c", take + self._here(command), number,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        said = ""
        for prompted, answer in answers:
            said += _read(ours, prompted)
            os.write(ours, f"{answer}\n".encode())
        said += _read(ours, lambda _: False)
        os.close(ours)
        return started.wait(PATIENCE), said.replace("\r\n", "\n")

    def _here(self, command: str) -> str:
        """The command in a process of its own, with what this shell has exported."""
        _, exported = self.run("export -p")
        return f"{exported}exec {command}"


def _read(stream: int, enough: Callable[[str], bool]) -> str:
    """What comes until `enough(words)`, its end or our patience's."""
    said, end = b"", time.monotonic() + 2 * PATIENCE
    with selectors.DefaultSelector() as ready:
        ready.register(stream, selectors.EVENT_READ)
        while not enough(said.decode(errors="replace")):
            if not ready.select(max(0.0, end - time.monotonic())):
                raise TimeoutError(said.decode(errors="replace"))
            try:
                part = os.read(stream, 65536)
            except OSError:  # a terminal's way to say that nobody holds its other end
                break
            if not part:
                break
            said += part
    return said.decode(errors="replace")


def _environment(user: str, home: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return kept | threads | {
        "PATH": f"{CAIRN.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "USER": user, "LOGNAME": user, "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb",
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


class Walk:
    """The shells of a walk, and what its examples stand for."""

    def __init__(self) -> None:
        self.examples = Examples()
        self._shells: dict[tuple[str, bool], Shell] = {}

    def shell(self, who: str, *, root: bool) -> Shell:
        """Whose prompt it is; opened at its first use."""
        key = (who, root)
        if key not in self._shells:
            folder = PLACE.parent if who == "root" else PLACE / who
            self._shells[key] = Shell("root" if root else who, folder)
        return self._shells[key]

    def type(self, step: Step) -> Typed:
        """Types a step, again if it only asks, until it says what the page shows."""
        began = time.monotonic()
        command = self.examples.command(step.command)
        answers = [
            (partial(self.examples.prompts, prompt), self.examples.command(answer))
            for prompt, answer in step.asked
        ]
        shell = self.shell(step.who, root=step.root)
        while True:
            try:
                status, said, agrees = self._once(step, shell, command, answers)
            except TimeoutError as waiting:
                status, said, agrees = -1, str(waiting), False
            waited = time.monotonic() - began
            if agrees or waited > PATIENCE or not ASKS.match(command):
                return Typed(step.line, step.who, command, status, said, agrees, waited)
            time.sleep(0.3)

    def _once(
        self, step: Step, shell: Shell, command: str, answers: Sequence[Answer]
    ) -> tuple[int, str, bool]:
        """Status, words, and whether they are what the page shows."""
        if step.interrupted:
            come = partial(self.examples.begins, step.shown)
            status, said = shell.interrupted(command, come)
            return status, said, come(said)
        status, said = shell.asked(command, answers) if answers else shell.run(command)
        ended = status == 0 or step.refused
        return status, said, ended and self.examples.agrees(step.shown, said)


def walk(page: str) -> tuple[Walk, list[Typed]]:
    """Types a page's steps up to the first that says something else.

    Sections that are each a clinic's own are typed at the same time, as in their clinics.
    """
    hiking, done = Walk(), []
    for alone, stretch in groupby(steps_of(page), key=lambda step: step.alone):
        steps = list(stretch)
        done += _beside(hiking, steps) if alone else _in_turn(hiking, steps)
        if not all(typed.agrees for typed in done):
            break
    return hiking, sorted(done, key=lambda typed: (not typed.agrees, typed.line))


def _beside(hiking: Walk, steps: Sequence[Step]) -> list[Typed]:
    people = dict.fromkeys(step.who for step in steps)
    with ThreadPoolExecutor(len(people)) as pool:
        each = [[step for step in steps if step.who == who] for who in people]
        return list(chain.from_iterable(pool.map(partial(_in_turn, hiking), each)))


def _in_turn(hiking: Walk, steps: Iterable[Step]) -> list[Typed]:
    done = []
    for step in steps:
        done.append(hiking.type(step))
        print(f"{done[-1].seconds:5.1f}  {step.who}  {step.command}", file=sys.stderr, flush=True)
        if not done[-1].agrees:
            break
    return done


def part_of(page: str, until: str) -> str:
    """The page up to the heading `until`; all of it if that is empty."""
    return page.partition(f"\n## {until}\n")[0] if until else page


@dataclass(frozen=True)
class Left:
    """What is there after a walk, for a test to judge."""

    steps: list[Typed]
    readable: dict[str, list[str]]  # user → what they may read below `PLACE`
    processes: list[tuple[str, str]]  # user and command of everything that runs
    ledgers: dict[str, list[str]]  # clinic → its ledger's lines
    boots: dict[str, int]  # clinic → how often its keeper has started
    results: str  # results.json


def left(hiking: Walk, steps: list[Typed]) -> Left:
    """Looks around when the last command has been typed; everything still runs."""
    clinics = sorted(folder.parent.name for folder in PLACE.glob("*/clinic.toml"))
    users = [user for clinic in clinics for user in (clinic, f"{clinic}-link")]
    shells = {clinic: hiking.shell(clinic, root=False) for clinic in clinics}
    ledgers = {c: shell.run("cairn clinic ledger --export -")[1] for c, shell in shells.items()}
    status = {c: shell.run("cairn clinic status --json")[1] for c, shell in shells.items()}
    return Left(
        steps,
        {user: _readable(user) for user in (*users, "team")},
        _processes(),
        {clinic: text.splitlines() for clinic, text in ledgers.items()},
        {clinic: int(json.loads(text)["epoch"]) for clinic, text in status.items()},
        next(PLACE.glob("team/results/*/results.json")).read_text(),
    )


def _readable(user: str) -> list[str]:
    account = pwd.getpwnam(user)
    files = [str(p.relative_to(PLACE)) for p in PLACE.rglob("*") if not p.is_dir()]
    done = subprocess.run(
        ["bash", "-c", 'while read -r file; do [ -r "$file" ] && echo "$file"; done; true'],
        user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd=PLACE,
        input="\n".join(files) + "\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(done.stdout.splitlines())


def _processes() -> list[tuple[str, str]]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        command = (process / "cmdline").read_bytes().decode().rstrip("\0").replace("\0", " ")
        if command:
            found.append((pwd.getpwuid(process.stat().st_uid).pw_name, command))
    return found


def main(srv: str, page: str, until: str = "") -> None:
    """Walks the page up to the heading `until`, then looks around; says how it went."""
    settle(Path(srv))
    hiking, steps = walk(part_of(Path(page).read_text(), until))
    whole = left(hiking, steps) if steps[-1].agrees else Left(steps, {}, [], {}, {}, "{}")
    print(json.dumps(asdict(whole)))


if __name__ == "__main__":
    main(*sys.argv[1:])
