"""CKKS with TenSEAL on the same vectors: what homomorphic encryption would cost instead.

`python -m benchmarks.masking_ckks N D` prints one line of JSON. Parameters are those of NVIDIA
FLARE's example (8,192 coefficients, 60 + 40 + 40 bits, scale 2^40, one secret key that all clinics
share, so that any clinic opens every other's vector: this is the price of less than masks promise).
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from benchmarks.masking_clock import Clock

DEGREE: Final = 8192
SLOTS: Final = DEGREE // 2  # numbers in a ciphertext
PRIMES: Final = [60, 40, 40]  # bits
SCALE: Final = 2.0**40
REPEATS: Final = 3
LIMIT: Final = 60.0  # seconds on the wall


def ckks_row(clinics: int, length: int) -> dict[str, Any]:
    """What a round costs a clinic and the server, in processor seconds, and the upload's bytes."""
    row: dict[str, Any] = {"what": "TenSEAL CKKS", "clinics": clinics, "length": length}
    if find_spec("tenseal") is None:
        return row | {"failed": "not installed: pip install 'cairn-federated[bench]'"}
    command = [sys.executable, "-m", __name__, str(clinics), str(length)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return row | {"stopped": f"after {LIMIT:.0f} s"}
    if done.returncode:
        return row | {"failed": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return row | json.loads(done.stdout.splitlines()[-1])


def run(clinics: int, length: int) -> dict[str, Any]:
    """`REPEATS` rounds in which every clinic sends the same vector."""
    import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, DEGREE, -1, PRIMES, n_threads=1)
    context.global_scale = SCALE
    vector = np.random.default_rng(1).uniform(-1, 1, length)
    pieces = [vector[at : at + SLOTS].tolist() for at in range(0, length, SLOTS)]
    clock, upload, opened = Clock(), [], []
    for _ in range(REPEATS):
        with clock("upload"):
            upload = [tenseal.ckks_vector(context, piece).serialize() for piece in pieces]
        sums = []
        with clock("server"):
            for piece in upload:
                total = tenseal.ckks_vector_from(context, piece)
                for _ in range(clinics - 1):
                    total += tenseal.ckks_vector_from(context, piece)
                sums.append(total.serialize())
        with clock("open"):
            opened = [tenseal.ckks_vector_from(context, total).decrypt() for total in sums]
    return {
        "clinic": clock.cpu("upload", "open"),
        "server": clock.cpu("server"),
        "upload_bytes": sum(map(len, upload)),
        "of_float32": sum(map(len, upload)) / (4 * length),
        "largest_error": float(np.abs(np.concatenate(opened) - clinics * vector).max()),
    }


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:]))))
