"""A switch that is slow and loses frames, in user space: for kernels that have no `netem`.

It joins network interfaces (all but `lo`) of the namespace it runs in, as a bridge would. Each
frame arrives `delay` seconds late, and is lost with probability `loss`. What TCP makes of that
(round trips, retransmission, back-off) is the kernel's own, as with `netem`.

    python slow_wire.py DELAY LOSS INTERFACE…
"""

from __future__ import annotations

import random
import select
import socket
import sys
import time
from collections import deque

SOL_PACKET, PACKET_VNET_HDR, SO_RCVBUFFORCE = 263, 15, 33
HEADER = 10  # bytes before each frame: how it is checksummed and cut, handed on unread
ETH_P_ALL = 3
WAITING = 2**23  # bytes that may wait to be read: no loss but the one asked for
LONGEST = HEADER + 2**16 + 64


def interface(name: str) -> socket.socket:
    """A raw socket that gets and sends whole frames."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, WAITING)
    raw.bind((name, ETH_P_ALL))
    raw.setblocking(False)
    return raw


def switch(delay: float, loss: float, names: list[str]) -> None:
    """Carries frames until it is killed."""
    ports = [interface(name) for name in names]
    learnt: dict[bytes, socket.socket] = {}  # which port a hardware address is behind
    under_way: deque[tuple[float, socket.socket, bytes]] = deque()  # in the order they are due
    chance = random.Random(1)
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for port in select.select(ports, [], [], wait)[0]:
            try:
                frame, where = port.recvfrom(LONGEST)
            except OSError:  # that interface is down
                continue
            if where[2] == socket.PACKET_OUTGOING or chance.random() < loss:
                continue
            to, sender = frame[HEADER : HEADER + 6], frame[HEADER + 6 : HEADER + 12]
            learnt[sender] = port
            due = time.monotonic() + delay
            for other in [learnt[to]] if to in learnt else ports:
                if other is not port:
                    under_way.append((due, other, frame))
        while under_way and under_way[0][0] <= time.monotonic():
            _, port, frame = under_way.popleft()
            try:
                port.send(frame)
            except OSError:  # that interface is down: the frame is lost
                continue


if __name__ == "__main__":
    switch(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
