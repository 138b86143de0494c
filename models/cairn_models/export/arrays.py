"""`dump`, `parse`: the flat parameters as safetensors by name, and what they are of.

A file of another version of the network, of other shapes or with a number that is not finite is
refused: it would foretell something, and nobody could tell that it is wrong.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save

from cairn_models.export.files import AGAIN
from cairn_models.trajectory.network import VERSION, layout
from cairn_protocol.errors import InputError

Floats = NDArray[np.float32]

SCHEMA: Final = "cairn-model/1"
ONLY_RESEARCH: Final = "research use only; not a prediction for any person's care"


@dataclass(frozen=True)
class Named:
    """What the parameters are of; all text, as safetensors has it. `study` is its digest (hex)."""

    schema: str
    network: str
    instrument: str
    study: str
    question: str
    use: str = ONLY_RESEARCH

    @classmethod
    def of(cls, instrument: str, study: str, question: str) -> Named:
        """For this version of the network."""
        return cls(SCHEMA, str(VERSION), instrument, study, question)


def dump(parameters: Floats, named: Named) -> bytes:
    """The file's bytes, of (d,) `parameters` in the order of `layout`.

    Raises:
        InputError: `input.model-shape`, `input.model-not-finite`.
    """
    shapes = dict(layout())
    ends = np.cumsum([int(np.prod(s)) for s in shapes.values()])
    if parameters.shape != (ends[-1],):
        raise _shape("the parameters")
    require_finite(parameters, "the parameters")
    parts = np.split(np.asarray(parameters, dtype=np.float32), ends[:-1])
    tensors = {
        name: np.ascontiguousarray(part.reshape(shape))
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
    return _with_metadata(save(tensors), asdict(named))


def parse(data: bytes, where: str) -> tuple[Floats, Named]:
    """((d,) parameters, what they are of), from the bytes of the file called `where`.

    Raises:
        InputError: `input.model-…`: not such a file, another version, other shapes, not finite.
    """
    named = _named(data, where)
    if named.schema != SCHEMA or named.network != str(VERSION):
        raise InputError(
            f"{where} is for version {named.network[:20]} of the network, this is {VERSION}",
            code="model-version",
            why="columns and outputs may mean something else there",
            hint="use the version of Cairn that wrote it, or get the model exported anew",
        )
    try:
        tensors: dict[str, NDArray[Any]] = load_tensors(data)
        found = {name: a for name, a in tensors.items() if a.dtype == np.float32}
        if set(found) != {name for name, _ in layout()} or set(found) != set(tensors):
            raise ValueError("names")
        if any(found[name].shape != shape for name, shape in layout()):
            raise ValueError("shapes")
    except (SafetensorError, KeyError, ValueError):
        raise _shape(where) from None
    parameters = np.concatenate([found[name].ravel() for name, _ in layout()])
    require_finite(parameters, where)
    return parameters, named


def require_finite(values: Floats, where: str) -> None:
    """Passes where every number is finite.

    Raises:
        InputError: `input.model-not-finite`.
    """
    if not np.isfinite(values).all():
        raise InputError(
            f"{where} holds a number that is not finite",
            code="model-not-finite",
            why="whatever it foretells would be no number, or a wrong one",
            hint=AGAIN,
        )


def _with_metadata(data: bytes, told: dict[str, str]) -> bytes:
    """The file with metadata in a fixed order: safetensors itself writes them in any."""
    size = int.from_bytes(data[:8], "little")
    header = {"__metadata__": told} | json.loads(data[8 : 8 + size])
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _named(data: bytes, where: str) -> Named:
    """The metadata in a safetensors header: 8 bytes of length, then JSON."""
    try:
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or size > len(data) - 8:
            raise ValueError("header")
        told = json.loads(data[8 : 8 + size]).get("__metadata__", {})
        return Named(**{name: str(told[name]) for name in Named.__dataclass_fields__})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{where} is not a model's file",
            code="model-unreadable",
            why="its header does not name network, instrument, study and question",
            hint=AGAIN,
        ) from None


def _shape(where: str) -> InputError:
    return InputError(
        f"{where} does not fit the network",
        code="model-shape",
        why="names or shapes of its parameters are others",
        hint=AGAIN,
    )
