"""`Contribution`: what one patient adds to a question's sum, in words and number by number.

A clinic decides about a study by what would leave it. Each kind of question says here what it asks,
who is in it, how one patient's vector is filled in, and what each of its numbers is. It follows
from the signed study alone: nobody's records are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cairn_models.shaping import Shaping

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Slot:
    """Neighbouring numbers of a vector that are about the same people.

    Args:
        names: what each number is; where there is a `mix`, what each cell is.
        of: whom they are about: an arm, a level; empty: everybody.
        weight: what they were multiplied by, where a cell is to be read back.
        mix: (n, n) the public matrix through which cells are seen: a patient of cell c adds its
            column c. None: the numbers are what their names say.
    """

    names: tuple[str, ...]
    of: str = ""
    weight: float = 1.0
    mix: Array | None = None

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The name of each number that leaves."""
        if self.mix is None:
            return tuple(self._of(name) for name in self.names)
        most = np.abs(self.mix).argmax(axis=1)
        return tuple(
            self._of(f"mixture {k + 1} of {len(most)}, most of all of: {self.names[cell]}")
            for k, cell in enumerate(most)
        )

    def cells(self, sums: Array) -> tuple[tuple[str, float], ...]:
        """What (n,) sums without noise say, cell by cell; nothing where the names say it."""
        if self.mix is None:
            return ()
        people = np.linalg.solve(self.mix, np.asarray(sums, dtype=np.float64) / self.weight)
        named = (f"{self._of(name)}: people" for name in self.names)
        return tuple(zip(named, people.tolist(), strict=True))

    def _of(self, name: str) -> str:
        return f"{self.of}: {name}" if self.of else name


@dataclass(frozen=True)
class Contribution:
    """One patient's part in a question.

    Args:
        asked: what is asked, a sentence.
        who: whose vector is not all zeros, a sentence.
        how: how one patient's vector is filled in, a sentence or two.
        slots: its numbers in order; empty where a list of names would tell nobody anything.
    """

    asked: str
    who: str
    how: str
    slots: tuple[Slot, ...] = ()

    @property
    def coordinates(self) -> tuple[str, ...]:
        """What each number of the vector is, in order; empty: they have no names."""
        return tuple(name for slot in self.slots for name in slot.coordinates)

    def cells(self, total: Array) -> tuple[tuple[str, float], ...]:
        """How many people of each cell (length,) sums without noise stand for, where cells are
        seen through a matrix."""
        found: list[tuple[str, float]] = []
        at = 0
        for slot in self.slots:
            size = len(slot.names)
            found += slot.cells(total[at : at + size])
            at += size
        return tuple(found)


def table(of: str, names: tuple[str, ...], shaping: Shaping, weight: float = 1.0) -> Slot:
    """The slot of a table of people whose cells are seen through `shaping`."""
    if np.array_equal(shaping.seen, np.eye(len(shaping.seen))):
        unit = "people" if weight == 1.0 else f"people, each counts {weight:.3g}"
        return Slot(tuple(f"{name} ({unit})" for name in names), of, weight)
    return Slot(names, of, weight, shaping.seen)


def moments(of: str, what: str, count: float, weight: float = 1.0) -> Slot:
    """The slot of (a, u, 1 − u²), of a number u from −1 to 1; `count` is a."""
    each = (
        f"people, each counts {count * weight:.3g}",
        f"{what} (−{weight:.3g} to {weight:.3g})",
        "1 − its square" if weight == 1.0 else f"{weight:.3g} × (1 − its square)",
    )
    return Slot(each, of, weight)


MIXED = (
    "That cell's column of a public matrix is added in place of a plain 1, so that the noise "
    "spares what is asked; the matrix is the same for every clinic and patient."
)


def listed(names: tuple[str, ...], last: str = "and") -> str:
    """Names in a row: 'a, b and c'."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"
