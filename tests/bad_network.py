"""Hosts of their own on one bad network: Linux network namespaces, a switch, delay, loss, cables.

    host ── eth0 ═══ cable ═══ a port of the switch, itself in a namespace of its own

Where the kernel has `netem`, the switch is a bridge and `netem` delays and drops at both ends of
each cable; where not, `slow_wire.py` is switch, delay and loss in one. Nothing of the machine's
own network is touched, and nothing stays when the context ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

SLOW_WIRE = Path(__file__).with_name("slow_wire.py")
DELAY = 0.04  # seconds, each way
LOSS = 0.01  # of frames, each way
NET = "10.77.0"


def ip(*arguments: str) -> None:
    """`ip …`; fails with what it said."""
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class BadNetwork:
    """A context manager: `hosts` can reach each other, badly; `carrier` says by what means.

    It skips the test, with the reason, where namespaces may not be made.
    """

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.carrier = ""
        self._made: list[str] = []
        self._wire: subprocess.Popen[bytes] | None = None

    def address(self, host: str) -> str:
        """The host's own."""
        return f"{NET}.{self.hosts.index(host) + 1}"

    def inside(self, host: str) -> tuple[str, ...]:
        """What to write before a command so that it runs on that host."""
        return "ip", "netns", "exec", self._name(host)

    def cut(self, host: str) -> None:
        """Pulls the host's cable out of the switch."""
        ip("-n", self._name(), "link", "set", "dev", host, "down")

    def mend(self, host: str) -> None:
        """Puts it in again."""
        ip("-n", self._name(), "link", "set", "dev", host, "up")

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends what runs on the hosts and removes them."""
        if self._wire is not None:
            self._wire.kill()
            self._wire.wait()
        for name in self._made:
            listed = subprocess.run(
                ["ip", "netns", "pids", name], check=False, capture_output=True, text=True
            )
            for pid in map(int, listed.stdout.split()):
                os.kill(pid, 9)
            subprocess.run(["ip", "netns", "del", name], check=False)
        self._made.clear()

    def _make(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        if shutil.which("ip") is None:
            pytest.skip("network namespaces need the command ip (package iproute2)")
        for name in map(self._name, ("", *self.hosts)):
            try:
                ip("netns", "add", name)
            except AssertionError as refused:
                pytest.skip(f"network namespaces may not be made here: {refused}")
            self._made.append(name)
            ip("-n", name, "link", "set", "dev", "lo", "up")
        for host in self.hosts:
            name = self._name(host)
            peer = ("peer", "name", host, "netns", self._name())
            ip("link", "add", "eth0", "netns", name, "type", "veth", *peer)
            ip("-n", name, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "dev", "eth0", "up")
            ip("-n", self._name(), "link", "set", "dev", host, "up")
        self._spoil()

    def _spoil(self) -> None:
        switch = self._name()
        ends = [(self._name(host), "eth0") for host in self.hosts[1:]]
        ends += [(switch, host) for host in self.hosts[1:]]
        if all(_netem(*end) for end in ends):
            ip("-n", switch, "link", "add", "switch", "type", "bridge")
            for host in self.hosts:
                ip("-n", switch, "link", "set", "dev", host, "master", "switch")
            ip("-n", switch, "link", "set", "dev", "switch", "up")
            self.carrier = "netem"
            return
        command = [sys.executable, str(SLOW_WIRE), str(DELAY), str(LOSS), *self.hosts]
        self._wire = subprocess.Popen(["ip", "netns", "exec", switch, *command])
        self.carrier = SLOW_WIRE.name
        time.sleep(0.5)
        assert self._wire.poll() is None, "the wire broke"

    def _name(self, host: str = "") -> str:
        return f"cairn-{os.getpid()}-{host or 'switch'}"


def _netem(namespace: str, interface: str) -> bool:
    """Whether this end of a cable is now slow and leaky by `netem`."""
    how = ("delay", f"{DELAY * 1000:g}ms", "loss", f"{LOSS:.0%}", "limit", "20000")
    command = ["tc", "-n", namespace, "qdisc", "replace", "dev", interface, "root", "netem", *how]
    if shutil.which("tc") is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
