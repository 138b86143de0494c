"""`Context`: the public facts of one sum, which both sides compute and whose digest they compare.

It is bound into every mask: two clinics that were shown different models, noise or layouts hold
masks that do not cancel, so nothing can be opened.  # SPEC 6
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from cairn_protocol.codec import Fixed, Real, Text, UInt
from cairn_protocol.fixed_point import RINGS, wire_bytes
from cairn_protocol.record import Record, hashed

LARGEST_VECTOR: Final = 1 << 23  # coordinates: 64 MiB in the wide ring
LARGEST_STATE: Final = 64 << 20  # bytes of public state
LARGEST_ATTEMPT: Final = 999


@dataclass(frozen=True)
class Context(Record):
    """What is asked and how the answer is encoded. Build it with `Context.of`.

    `study`, `roster` digests · `question` name · `round` and `attempt` from 0 · `state` digest of
    the public state · `length` coordinates · `bound` C, the L2 norm of one patient's vector (0:
    unbounded, public data only) · `sigma` noise multiplier σ (0: none) · `grid` value of one
    integer step · `reach` the largest absolute value of any coordinate of one clinic's encoded
    vector · `modulus_bits` w, one of `RINGS`.

    Floats are compared bit by bit: take them from the study, or round a computed σ to fixed
    decimals before it comes here, so that both sides have the same bits.
    """

    label: ClassVar[str] = "context"

    study: Annotated[bytes, Fixed(32)]
    roster: Annotated[bytes, Fixed(32)]
    question: Annotated[str, Text(63)]
    round: Annotated[int, UInt(4)]
    attempt: Annotated[int, UInt(2)]
    state: Annotated[bytes, Fixed(32)]
    length: Annotated[int, UInt(4)]
    bound: Annotated[float, Real()]
    sigma: Annotated[float, Real()]
    grid: Annotated[float, Real()]
    reach: Annotated[int, UInt(8)]
    modulus_bits: Annotated[int, UInt(1)]

    def fault(self) -> str:
        if self.modulus_bits not in RINGS:
            return "modulus_bits must be a width that the protocol knows"
        if not 1 <= self.length <= LARGEST_VECTOR:
            return f"length must be 1 to {LARGEST_VECTOR}"
        if self.grid <= 0:
            return "grid must be positive"
        if self.attempt > LARGEST_ATTEMPT:
            return f"attempt must be at most {LARGEST_ATTEMPT}"
        return ""

    @classmethod
    def of(
        cls,
        *,
        study: bytes,
        roster: bytes,
        question: str,
        round: int,
        attempt: int,
        public_state: bytes,
        length: int,
        bound: float | None,
        sigma: float,
        grid: float,
        reach: int,
        modulus_bits: int,
    ) -> Context:
        """The context of one sum; `public_state` as `state_bytes` gives it."""
        return cls(
            study=study,
            roster=roster,
            question=question,
            round=round,
            attempt=attempt,
            state=state_digest(public_state),
            length=length,
            bound=0.0 if bound is None else float(bound),
            sigma=float(sigma),
            grid=float(grid),
            reach=reach,
            modulus_bits=modulus_bits,
        )

    @property
    def vector_bytes(self) -> int:
        """Bytes of one upload's vector."""
        return wire_bytes(self.length, self.modulus_bits)


def state_digest(public_state: bytes) -> bytes:
    """SHA-256 that names a public state, 32 bytes."""
    return hashed("public state", public_state)


def state_bytes(state: NDArray[np.float32]) -> bytes:
    """The public state as it travels: (k,) float32, little-endian."""
    return np.ascontiguousarray(state, dtype="<f4").tobytes()


def state_array(public_state: bytes) -> NDArray[np.float32]:
    """The public state as an array again, (k,) float32, read-only."""
    return np.frombuffer(public_state, dtype="<f4").astype(np.float32, copy=False)
