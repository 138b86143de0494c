"""Our protocol's rows: what each party does, in seconds; how much a clinic uploads and holds."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from benchmarks.masking_clock import Clock
from benchmarks.masking_limit import limit_seconds
from benchmarks.masking_lone import Lone
from benchmarks.masking_parties import (
    CLINIC_SETUP,
    CLINIC_UNMASK,
    CLINIC_UPLOAD,
    SERVER_OPENINGS,
    SERVER_ROUND,
    SERVER_SETUP,
    SERVER_SUM,
    SERVER_UPLOADS,
    Parties,
    Size,
)
from cairn_protocol.fixed_point import word
from cairn_protocol.masks import masked

KEYSTREAM: Final = 4_000_000_000  # bytes in all repeats of a measurement of masks alone


def cairn_row(size: Size, repeats: int, block: int) -> dict[str, Any]:
    """Medians over all clinics and `repeats` rounds of one setup, in processor seconds.

    Each party's work is timed from the bytes that it gets to those that it sends. `…_alone` is the
    same without signatures and digests.
    """
    parties = Parties(size)
    with parties.signatures:
        parties.agree()
        for _ in range(1 + repeats):  # the first takes the setup's notes
            parties.round()
    clock = parties.clock
    return _described(parties, block) | {
        "server_setup": clock.cpu(*SERVER_SETUP),
        "server_ask": clock.cpu("server ask"),
        "server_uploads": clock.cpu(*SERVER_UPLOADS),
        "server_uploads_alone": clock.alone(*SERVER_UPLOADS),
        "server_openings": clock.cpu(*SERVER_OPENINGS),
        "server_sum": clock.cpu(*SERVER_SUM),
        "server": clock.cpu(*SERVER_ROUND),
        "server_alone": clock.alone(*SERVER_ROUND),
    }


def lone_row(size: Size, repeats: int, block: int) -> dict[str, Any]:
    """The same of one clinic among `size.clinics`; no server."""
    lone = Lone(size)
    with lone.signatures:
        lone.agree()
        for _ in range(1 + repeats):
            lone.round()
    return _described(lone, block) | {"what": "Cairn, one clinic"}


def memory_row(size: Size) -> dict[str, Any]:
    """The most that a clinic's upload and a server's round hold, in float32 vectors.

    A clinic's are its vector in the ring, what it sends, and everything between; a server's all
    uploads, with the one that arrives. Counted are allocations (NumPy tells `tracemalloc` its own).
    """
    parties = Parties(size)
    parties.agree()
    parties.round()
    context = parties.context()
    requests = parties.ask(context)
    uploads = {i: parties.upload(i, requests[i], context) for i in range(1, size.clinics)}
    tracemalloc.start()
    try:
        clinic = _most(lambda: uploads.setdefault(0, parties.upload(0, requests[0], context)))
        server = _most(lambda: parties.finish(uploads)) + parties.upload_bytes
    finally:
        tracemalloc.stop()
    return {
        "what": "Cairn, memory in float32 vectors",
        "clinics": size.clinics,
        "length": size.length,
        "bits": size.bits,
        "clinic": round(clinic / (4 * size.length), 2),
        "server": round(server / (4 * size.length), 2),
    }


def _most(work: Callable[[], object]) -> int:
    """Bytes at the peak within `work`, beyond those held before."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    work()
    return tracemalloc.get_traced_memory()[1] - before


def _described(parties: Parties, block: int) -> dict[str, Any]:
    size, clock = parties.size, parties.clock
    streams = size.clinics - 1 + size.recovers
    repeats = max(3, min(15, KEYSTREAM // (4 * size.length * streams)))
    masks = _masks_seconds(size, repeats)
    limit = limit_seconds(size.length, streams, repeats, block)
    return {
        "what": "Cairn",
        "clinics": size.clinics,
        "length": size.length,
        "dropped": size.dropped,
        "bits": size.bits,
        "clinic_setup": clock.cpu(*CLINIC_SETUP),
        "upload": clock.cpu(*CLINIC_UPLOAD),
        "upload_alone": clock.alone(*CLINIC_UPLOAD),
        "upload_steps": {step: clock.cpu(step) for step in CLINIC_UPLOAD},
        "unmask": clock.cpu(*CLINIC_UNMASK),
        "unmask_alone": clock.alone(*CLINIC_UNMASK),
        "clinic_wall": clock.wall(*CLINIC_UPLOAD, *CLINIC_UNMASK),
        "masks": masks,
        "limit": limit,
        "of_limit": round(limit / masks, 3),
        "upload_bytes": parties.upload_bytes,
        "of_float32": round(parties.upload_bytes / (4 * size.length), 4),
    }


def _masks_seconds(size: Size, repeats: int) -> float:
    """Median processor seconds of `masked` alone, with as many streams as a clinic has."""
    clock = Clock()
    vector = np.zeros(size.length, dtype=word(size.bits))
    seeds = {peer: os.urandom(32) for peer in range(1, size.clinics)}
    own = os.urandom(32) if size.recovers else None
    for _ in range(1 + repeats):
        with clock("masks"):
            masked(vector, 0, seeds, own)
    del clock.spent["masks"][0]
    return clock.cpu("masks")
