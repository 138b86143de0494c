"""`Prior`: a pre-trained network on disk, synthetic in origin, checked before it is used.

A safetensors file with the parameters and the directions in which worlds differ (as bytes, with a
scale and the loss's curvature for each), a JSON card beside it, and a line for each in `CHECKSUMS`
(the format of `sha256sum`). Loading verifies the SHA-256 of the bytes that it then parses, the
network's version and every shape.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from cairn_models.trajectory.network import VERSION, layout
from cairn_protocol.errors import InputError

ARTEFACTS: Final = Path(__file__).resolve().parent.parent / "artefacts"
CHECKSUMS: Final = "CHECKSUMS"
DEFAULT_PRIOR: Final = "synthetic-prior-v2"
LARGEST: Final = 8 * 1024 * 1024  # bytes
DIRECTIONS: Final = "directions"
SCALES: Final = "direction_scales"
CURVATURE: Final = "direction_curvature"


@dataclass(frozen=True)
class Card:
    """Where a prior comes from. No patient's record had a part in it."""

    name: str
    network_version: int
    instrument: str
    worlds: int
    patients_per_world: int
    epochs: int
    seed: int
    parameters: int
    directions: int
    origin: str = "synthetic worlds drawn widely around published aggregates; no patient's record"
    use: str = "research only; not a prediction for any person"


@dataclass(frozen=True)
class Prior:
    """A checked prior: (d,) float32 parameters in the order of `layout`, and its card.

    `directions` (k, d) float32, orthogonal in what they do to the loss of synthetic patients, and
    its `curvature` (k,) along each, the largest first; see `trajectory.space`.
    """

    parameters: NDArray[np.float32]
    directions: NDArray[np.float32]
    curvature: NDArray[np.float32]
    card: Card


def write(prior: Prior, folder: Path = ARTEFACTS) -> Path:
    """The path of the written safetensors file; its card and `CHECKSUMS` are written beside it."""
    tensors: dict[str, NDArray[Any]] = {}
    at = 0
    for name, shape in layout():
        size = int(np.prod(shape))
        tensors[name] = prior.parameters[at : at + size].reshape(shape)
        at += size
    tensors[DIRECTIONS], tensors[SCALES] = _as_bytes(prior.directions)
    tensors[CURVATURE] = prior.curvature
    stem = prior.card.name
    files = {
        f"{stem}.safetensors": serialise(tensors),
        f"{stem}.json": (json.dumps(asdict(prior.card), indent=2) + "\n").encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    sums = _checksums(folder) if (folder / CHECKSUMS).exists() else {}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        sums[name] = hashlib.sha256(data).hexdigest()
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    (folder / CHECKSUMS).write_text("".join(lines))
    return folder / f"{stem}.safetensors"


def read(name: str = DEFAULT_PRIOR, folder: Path = ARTEFACTS) -> Prior:
    """The prior called `name`.

    Raises:
        InputError: no such prior, its bytes are not those of `CHECKSUMS`, or it belongs to another
            version of the network.
    """
    sums = _checksums(folder)
    if f"{name}.safetensors" not in sums:
        known = sorted(n.removesuffix(".safetensors") for n in sums if n.endswith(".safetensors"))
        raise InputError(
            f"there is no prior called {name!r}",
            code="prior-unknown",
            hint=f'known: {", ".join(known) or "none"}; or prior = "none" to start from scratch',
        )
    data = _verified(folder, f"{name}.safetensors", sums)
    card = Card(**json.loads(_verified(folder, f"{name}.json", sums)))
    if card.network_version != VERSION:
        raise InputError(
            f"the prior {name!r} is for version {card.network_version} of the network,"
            f" this is version {VERSION}",
            code="prior-version",
            hint=_REBUILD,
        )
    try:
        tensors = parse(data)
        parts = [tensors[key].reshape(shape).ravel() for key, shape in layout()]
        parameters = np.concatenate(parts).astype(np.float32)
        directions = tensors[DIRECTIONS].astype(np.float32) * tensors[SCALES][:, None]
        curvature = tensors[CURVATURE].astype(np.float32).reshape(card.directions)
        if directions.shape != (card.directions, len(parameters)):
            raise ValueError("directions")
    except (SafetensorError, KeyError, ValueError):
        raise InputError(
            f"the prior {name!r} does not fit the network", code="prior-shape", hint=_REBUILD
        ) from None
    if not all(np.isfinite(part).all() for part in (parameters, directions, curvature)):
        raise InputError(
            f"the prior {name!r} holds a number that is not finite",
            code="prior-not-finite",
            hint=_REBUILD,
        )
    return Prior(parameters, directions, curvature, card)


def _as_bytes(directions: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(k, d) as whole numbers to 127 and (k,) scales: precise enough for a direction."""
    scale = (np.abs(directions).max(axis=1) / 127).astype(np.float32)
    scale = np.where(scale > 0, scale, np.float32(1.0))
    return np.round(directions / scale[:, None]).astype(np.int8), scale


_REBUILD: Final = (
    "reinstall Cairn, or rebuild it: python -m cairn_models.trajectory.pretrain --out <folder>"
)


def _checksums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / CHECKSUMS).read_text().splitlines()
    except OSError:
        raise InputError(
            f"{folder / CHECKSUMS} cannot be read", code="prior-checksums", hint=_REBUILD
        ) from None
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}


def _verified(folder: Path, name: str, sums: dict[str, str]) -> bytes:
    """The bytes of a file, after their checksum held."""
    try:
        with (folder / name).open("rb") as file:
            data = file.read(LARGEST)
    except OSError:
        raise InputError(
            f"{folder / name} cannot be read", code="prior-missing", hint=_REBUILD
        ) from None
    if hashlib.sha256(data).hexdigest() != sums.get(name):
        raise InputError(
            f"{folder / name} is not the file that was released",
            code="prior-changed",
            why="its SHA-256 differs from the one in CHECKSUMS",
            hint=_REBUILD,
        )
    return data
