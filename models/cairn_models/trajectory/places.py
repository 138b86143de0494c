"""`one_thread`, `require_alike`: a patient's bits do not depend on the place in a block.

Removing one patient moves others to other places. A matrix product that is divided among threads
may send the rows at an edge through another kernel: MKL with AVX2 and two threads rounded rows 126
and 127 of a block of 128 differently. A last bit is enough, for later models are the server's to
choose, and one that amplifies it moved a clipped gradient by 2 C, as far as it can go, in a test.
So torch works on one thread here, and a clinic whose arithmetic still tells places apart
does not answer. Neither depends on anybody's data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from cairn_protocol.errors import OurFault


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch uses one thread; then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def copies(shape: tuple[int, ...], rows: int, seed: int) -> NDArray[np.float32]:
    """(rows, *shape) float32: one drawn array, the same in every row."""
    one = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return np.repeat(one[None], rows, axis=0)


def require_alike(rows: NDArray[np.float32]) -> None:
    """Passes where all rows, made from copies of one patient, have the same bits.

    Raises:
        OurFault: they have not.
    """
    if any(row.tobytes() != rows[0].tobytes() for row in rows):
        raise OurFault(
            "this machine's arithmetic depends on a patient's place among others",
            code="places-differ",
            why="then one patient changes what another contributes, and no bound holds",
            hint="report the processor and torch's version; set MKL_CBWR=COMPATIBLE and try again",
        )
