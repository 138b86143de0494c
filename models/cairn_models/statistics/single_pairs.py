"""`split`, `join`: doubles as pairs of singles, for a public state that travels as float32.

x = high + low with high = fl32(x), low = fl32(x − high): 48 bits of x survive, a relative error of
at most 2⁻⁴⁸. Parameters near an optimum must not be rounded to the 24 bits of one single: two
neighbouring singles differ by more than the last steps of Newton's method.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LARGEST: Final = 1e30  # what is larger, or no number, is written as this; singles end at 3e38


def split(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """(2n,) float32 from (n,) float64: all high parts, then all low parts."""
    bounded = np.clip(np.nan_to_num(values, nan=LARGEST), -LARGEST, LARGEST)
    high = bounded.astype(np.float32)
    return np.concatenate([high, (bounded - high).astype(np.float32)])


def join(public: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) float64 from the (2n,) float32 of `split`; what is no finite number reads as 0."""
    high, low = np.nan_to_num(public.astype(np.float64), posinf=0.0, neginf=0.0).reshape(2, -1)
    return np.asarray(high + low)
