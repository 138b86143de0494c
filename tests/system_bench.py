"""A federation of real `cairn` processes, driven as its people drive it.

`Federation` is a server and clinics, each clinic with keeper and link as processes. Commands run as
processes of their own (`cairn`) or, where a second each would add up, in this one (`typed`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cairn_app.cli import main
from cairn_models.synthetic import World, clinic_name, generate, write_clinic_csv
from cairn_privacy.accounting import RHO_UNIT
from cairn_server.events import Event
from cairn_server.home import ServerHome
from cairn_server.store import Store
from cairn_server.store_tables import StoredRun, StoredStudy
from cairn_server.team_studies import find

HOST = "127.0.0.1"
CAIRN = Path(sys.executable).parent / "cairn"
PATIENCE = 60.0  # seconds for anything that takes two on an idle machine


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """All that it said, without the line breaks that its width put in."""
        return " ".join((self.out + " " + self.err).split())


def cairn(*arguments: object, prefix: Sequence[str] = (), said: str = "") -> Done:
    """The command as a process of its own; `prefix` runs it elsewhere (`ip netns exec …`)."""
    done = subprocess.run(
        [*prefix, str(CAIRN), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        input=said,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def typed(*arguments: object, said: str = "") -> Done:
    """The same command in this process, which has imported everything already."""
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


def free_port(host: str = HOST) -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server((host, 0)) as free:
        return int(free.getsockname()[1])


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true value of `true`; fails with `what` if there is none in time."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.05)
    return value


class Daemon:
    """A command that runs until it is told to stop; its words go to `log`."""

    def __init__(self, *arguments: object, log: Path, prefix: Sequence[str] = ()) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*prefix, str(CAIRN), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def words(self) -> str:
        """All that it and its predecessors with this log said."""
        return self.log.read_text()

    def parts(self) -> dict[str, int]:
        """Process ids of what `clinic run` watches over: "keeper" and "link"."""
        pid, found = self.process.pid, {}
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            command = command_of(child)
            found.update({part: child for part in ("keeper", "link") if part in command})
        return found

    def kill(self) -> None:
        """SIGKILL to itself."""
        self.process.kill()
        self.process.wait()

    def kill_part(self, part: str) -> None:
        """SIGKILL to one of its parts; returns when another has taken its place."""
        killed = until(lambda: self.parts().get(part), f"a running {part}")
        os.kill(killed, signal.SIGKILL)
        until(lambda: self.parts().get(part, killed) != killed, f"another {part}")

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE)


def command_of(pid: int) -> list[str]:
    """A process's command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    except OSError:
        return []


@dataclass(frozen=True)
class Charge:
    """One reservation of a clinic's ledger: what it is for, its ρ, and what became of it."""

    study: str
    run: str
    question: str
    round: int
    attempt: int
    rho: float
    state: str

    @property
    def name(self) -> tuple[str, str, str, int, int]:
        """What may be charged once only."""
        return self.study, self.run, self.question, self.round, self.attempt


@dataclass
class Clinic:
    """A clinic's folder, its people's commands, and its daemon while it runs."""

    name: str
    folder: Path
    prefix: tuple[str, ...] = ()
    daemon: Daemon | None = None
    verified: set[str] = field(default_factory=set)  # whom its people have compared

    @cached_property
    def fingerprint(self) -> str:
        """What its people would say over the telephone."""
        done = self.typed("status", "--json")
        assert done.status == 0, done.err
        return str(json.loads(done.out)["fingerprint"])

    def typed(self, *arguments: object, said: str = "") -> Done:
        """`cairn clinic …` by this clinic's people."""
        return typed("clinic", *arguments, "--folder", self.folder, said=said)

    def cairn(self, *arguments: object, said: str = "") -> Done:
        """The same as a process of its own."""
        where = ("--folder", self.folder)
        return cairn("clinic", *arguments, *where, prefix=self.prefix, said=said)

    def run(self) -> Daemon:
        """Starts keeper and link."""
        log = self.folder.parent / f"{self.name}.log"
        self.daemon = Daemon("clinic", "run", "--folder", self.folder, log=log, prefix=self.prefix)
        return self.daemon

    @property
    def running(self) -> Daemon:
        """Its daemon."""
        assert self.daemon is not None
        return self.daemon

    @property
    def connected(self) -> bool:
        """Whether the link says so itself, and the keeper answers."""
        try:
            link = json.loads((self.folder / "run" / "status" / "link.json").read_text())
        except (OSError, ValueError):
            return False
        return link.get("state") == "connected" and self.typed("offers").status == 0

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While the block runs this clinic's keeper answers nothing, so no round can end."""
        pid = until(lambda: self.running.parts().get("keeper"), "a keeper")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def charges(self, study: StoredStudy) -> list[Charge]:
        """What the ledger holds for a study."""
        done = self.typed("ledger", "--export", "-")
        assert done.status == 0, done.err
        entries = [json.loads(line)["entry"] for line in done.out.splitlines()]
        ends = {e["of"]: e["kind"] for e in entries if "of" in e}
        return [
            Charge(
                e["study"],
                e["run"],
                e["question"],
                e["round"],
                e["attempt"],
                e["units"] * RHO_UNIT,
                ends.get(number, "open"),
            )
            for number, e in enumerate(entries, 1)
            if e["kind"] == "reserve" and e["study"] == study.digest.hex()
        ]


@dataclass
class Federation:
    """A server and its clinics in the folder `root`; `steps`: what each command of set-up said."""

    root: Path
    host: str = HOST
    listen: str = HOST
    server_prefix: tuple[str, ...] = ()
    clinics: dict[str, Clinic] = field(default_factory=dict)
    steps: dict[str, Done] = field(default_factory=dict)
    server: Daemon | None = None
    members: tuple[str, ...] = ()  # who takes part in a study unless it says otherwise

    @property
    def home(self) -> Path:
        """The server's."""
        return self.root / "server"

    @cached_property
    def store(self) -> Store:
        """The server's store, as its commands open it."""
        return ServerHome.open(self.home).store()

    def add_clinic(self, name: str, prefix: tuple[str, ...] = ()) -> Clinic:
        """A clinic whose folder lies under `root`."""
        clinic = Clinic(name, self.root / "clinics" / name, prefix)
        self.clinics[name] = clinic
        return clinic

    def init(self, *ports: int) -> None:
        """The server's keys; ports of fleet and registry, free ones if none are given."""
        fleet, registry = ports or (free_port(), free_port())
        self.steps["server init"] = cairn(
            *("server", "init", "--home", self.home, "--host", self.host, "--listen", self.listen),
            *("--fleet-port", fleet, "--registry-port", registry),
        )
        assert self.steps["server init"].status == 0, self.steps["server init"].err

    def run_server(self) -> Daemon:
        """Starts the server; returns when clinics can reach it."""
        log = self.root / "server.log"
        before = log.read_text().count("clinics join at") if log.exists() else 0
        self.server = Daemon(
            *("server", "run", "--home", self.home), log=log, prefix=self.server_prefix
        )
        server = self.server
        until(
            lambda: server.words.count("clinics join at") > before or server.process.poll(),
            "the server",
        )
        assert server.process.poll() is None, server.words
        return server

    def enter(self, clinic: Clinic) -> None:
        """Init, enrol and join: each as a process, each as a person would."""
        name = clinic.name
        self.steps[f"{name} init"] = clinic_init = cairn("clinic", "init", clinic.folder)
        assert clinic_init.status == 0, clinic_init.err
        self.steps[f"{name} enrol"] = enrol = cairn("server", "enrol", name, "--home", self.home)
        assert enrol.status == 0, enrol.err
        token = enrol.out.splitlines()[2].strip()
        self.steps[f"{name} join"] = join = clinic.cairn("join", said=token + "\n")
        assert join.status == 0, join.err

    def enter_all(self, clinics: Sequence[Clinic] = ()) -> None:
        """`enter` for several clinics at once, then runs them; returns when all are connected."""
        chosen = list(clinics or self.clinics.values())
        with ThreadPoolExecutor(len(chosen)) as pool:
            list(pool.map(self.enter, chosen))
        for clinic in chosen:
            clinic.run()
        for clinic in chosen:
            until(lambda clinic=clinic: clinic.connected, f"{clinic.name} to connect")

    # The research team's side.

    def typed(self, *arguments: object) -> Done:
        """`cairn study …` by the research team."""
        return typed("study", *arguments, "--home", self.home)

    def stored(self, study: str) -> StoredStudy:
        """A study as the server has it."""
        return find(self.store, study)

    def offer(self, text: str, *clinics: str) -> StoredStudy:
        """A study signed and offered; returns when every clinic has seen it."""
        file = self.root / "study.toml"
        file.write_text(text)
        signed = self.typed("sign", file, "--json")
        assert signed.status == 0, signed.err
        digest = json.loads(signed.out)["digest"]
        chosen = clinics or self.members or tuple(self.clinics)
        options = [part for name in chosen for part in ("--clinic", name)]
        offered = self.typed("offer", digest, *options)
        assert offered.status == 0, offered.err
        until(lambda: self.standings(digest).keys() >= set(chosen), "the offer to reach everyone")
        return self.stored(digest)

    def standings(self, digest: str) -> dict[str, str]:
        """What each clinic said of a study."""
        return {s.clinic: s.state for s in self.store.standings(bytes.fromhex(digest))}

    def verify(self, study: StoredStudy, *clinics: str) -> None:
        """Each clinic's people compare the fingerprints of all others, as they would tell them."""
        everyone = tuple(self.standings(study.digest.hex()))
        marks = {name: self.clinics[name].fingerprint for name in everyone}
        for name in clinics or everyone:
            clinic = self.clinics[name]
            for other in set(everyone) - {name} - clinic.verified:
                done = clinic.typed("verify", other, marks[other], "--person", "tester")
                assert done.status == 0, done.err
                clinic.verified.add(other)

    def decide(self, study: StoredStudy, word: str, *clinics: str) -> None:
        """The clinics' people approve, refuse or pause; returns when the server knows."""
        chosen = clinics or tuple(self.standings(study.digest.hex()))
        if word == "approve":
            self.verify(study, *chosen)
        for name in chosen:
            decision = (word, study.digest.hex(), "--yes", "--person", "tester")
            done = self.clinics[name].typed(*decision)
            assert done.status == 0, done.err
        state = {"approve": "approved", "refuse": "refused", "pause": "paused"}[word]
        until(
            lambda: all(self.standings(study.digest.hex())[n] == state for n in chosen),
            f"the server to hear {state}",
        )

    def start(self, study: StoredStudy) -> None:
        """Begins it."""
        done = self.typed("start", study.digest.hex())
        assert done.status == 0, done.err

    def approved(self, text: str, *clinics: str) -> StoredStudy:
        """A study that everyone has approved."""
        study = self.offer(text, *clinics)
        self.decide(study, "approve")
        return study

    def run_of(self, study: StoredStudy) -> StoredRun | None:
        """Its run, if it has one."""
        runs = self.store.runs(study=study.digest)
        return runs[-1] if runs else None

    def events(self, study: StoredStudy) -> list[Event]:
        """What has happened in its run."""
        run = self.run_of(study)
        if run is None:
            return []
        return [Event(**json.loads(event.json)) for event in self.store.events(run.run)]

    def opened(self, study: StoredStudy) -> int:
        """Sums that were opened; a server that carries on tells of each again."""
        opened = {(e.question, e.done) for e in self.events(study) if e.stage == "round"}
        return len(opened)

    def watch(self, study: StoredStudy) -> Done:
        """Watches it to its end."""
        return self.typed("watch", study.digest.hex(), "--seconds", 2 * PATIENCE)

    def results_folder(self, study: StoredStudy) -> Path:
        """Where its results lie."""
        done = self.typed("report", study.digest.hex(), "--json")
        assert done.status == 0, done.err
        return Path(json.loads(done.out)["report"]).parent

    def stop(self) -> None:
        """Ends everything; fails if an end is not clean, or a process or a socket stays."""
        if "store" in vars(self):
            self.store.close()
        daemons = [c.daemon for c in self.clinics.values() if c.daemon]
        daemons += [self.server] if self.server else []
        for daemon in daemons:
            if daemon.process.poll() is None:
                daemon.process.terminate()
        ends = {daemon.log.name: daemon.process.wait(PATIENCE) for daemon in daemons}
        until(lambda: not left_over(self.root), f"the end of {left_over(self.root)}", 20.0)
        assert not any(ends.values()), ends


def left_over(root: Path) -> list[str]:
    """Processes that name `root`, and sockets bound below it."""
    mine = os.getpid()
    pids = [int(p.name) for p in Path("/proc").glob("[0-9]*") if int(p.name) != mine]
    commands = [" ".join(command_of(pid)) for pid in pids]
    bound = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()]
    return [line for line in (*commands, *bound) if str(root) in line]


def synthetic_clinics(root: Path, sizes: Sequence[int], *, data: str, seed: int = 1) -> list[str]:
    """Clinics' folders of synthetic patients under `root`/clinics; their names."""
    names = []
    for number, records in enumerate(generate(World(), tuple(sizes), seed=seed)):
        name = clinic_name(number)
        folder = root / "clinics" / name
        write_clinic_csv(records, folder, name=name)
        (folder / "clinic.toml").write_text(
            f'name = "{name}"\ndata = "{data}"\ncap_epsilon = 20.0\n'
        )
        names.append(name)
    return names
