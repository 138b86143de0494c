"""`Blocks`: the quarters of entry whose patients a charge may depend on.

A clinic's patients fall into blocks by the quarter in which they entered the waiting list; those
without a date form a block of their own. A question is charged to every block that its study
admits, whole, and to no other. Which these are is read off the signed study's window alone: never
off the records, for a block charged because somebody is in it would say that somebody is, and
never off a clock, for clocks are set back. So a study without a window is charged to every block,
those of patients to come included, and a window that stays open at its end likewise.

This is parallel composition over blocks under one filter each (Lécuyer, Spahn, Vodrahalli, Geambasu
and Hsu 2019, 'Privacy accounting and quality control in the Sage differentially private ML
platform', §4), with the blocks of the future charged beforehand where nothing closes the window.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

UNDATED: Final = 0  # the block of patients without a date of entry
EARLIEST: Final = 1  # the first dated block; the quarters of year 1 begin at 4
END: Final = 40_000  # the first quarter that no date has
_NAMES: Final = {"undated": UNDATED, "earliest": EARLIEST}
_LATEST: Final = "latest"
_QUARTER: Final = re.compile(r"(\d{4})-Q([1-4])")


def quarter(day: date) -> int:
    """The block of patients who entered on `day`."""
    return 4 * day.year + (day.month - 1) // 3


def quarter_name(block: int) -> str:
    """A dated block as people write it: 2024-Q3."""
    return f"{block // 4:04}-Q{block % 4 + 1}"


def quarter_named(text: str) -> int:
    """The block that `quarter_name` writes so.

    Raises:
        ValueError: it is not a quarter.
    """
    found = _QUARTER.fullmatch(text)
    if found is None or found[1] == "0000":
        raise ValueError("a quarter is written 2024-Q3")
    return 4 * int(found[1]) + int(found[2]) - 1


@dataclass(frozen=True)
class Blocks:
    """The blocks from `first` up to but without `end`; never none."""

    first: int
    end: int

    def __post_init__(self) -> None:
        if not UNDATED <= self.first < self.end <= END:
            raise ValueError("these are no blocks")

    @classmethod
    def of_window(cls, entry_from: date | None, entry_until: date | None) -> Self:
        """What a study that admits entries in this window, ends included, is charged to."""
        if entry_from is None and entry_until is None:
            return cls(UNDATED, END)
        return cls(
            EARLIEST if entry_from is None else quarter(entry_from),
            END if entry_until is None else quarter(entry_until) + 1,
        )

    @classmethod
    def up_to(cls, last: int) -> Self:
        """Everybody who entered up to the quarter `last`, and who has no date."""
        return cls(UNDATED, last + 1)

    @classmethod
    def named(cls, first: str, last: str) -> Self:
        """The blocks that `first_name` and `last_name` give.

        Raises:
            ValueError: they are no blocks, or not written in the one form.
        """
        start = _NAMES[first] if first in _NAMES else quarter_named(first)
        return cls(start, END if last == _LATEST else quarter_named(last) + 1)

    @property
    def first_name(self) -> str:
        """`undated`, `earliest` or a quarter."""
        words = {block: name for name, block in _NAMES.items()}
        return words.get(self.first) or quarter_name(self.first)

    @property
    def last_name(self) -> str:
        """A quarter, or `latest`: patients to come are in it."""
        return _LATEST if self.end == END else quarter_name(self.end - 1)

    @property
    def whole(self) -> bool:
        """Whether this is everybody, at any time."""
        return self == EVERYONE

    def __contains__(self, block: int) -> bool:
        return self.first <= block < self.end

    def words(self) -> str:
        """Who is meant, as a clause after 'patients'."""
        if self.whole:
            return "every patient, also those still to come"
        if self.end == EARLIEST:
            return "no date of entry known"
        if self.first == UNDATED:
            return f"entered by the end of {self.last_name}, or no date known"
        if self.first == self.end - 1:
            return f"entered in {self.first_name}"
        return {
            (False, False): "entered at any time, also later",
            (False, True): f"entered by the end of {self.last_name}",
            (True, False): f"entered from {self.first_name} on, also later",
            (True, True): f"entered {self.first_name} to {self.last_name}",
        }[self.first > EARLIEST, self.end < END]


EVERYONE: Final = Blocks(UNDATED, END)


class BlockSums:
    """Units of ρ charged to every block: a step function over all blocks, past and to come."""

    def __init__(self) -> None:
        self._starts = [UNDATED]
        self._levels = [0]

    def add(self, blocks: Blocks, units: int, *, at_most: int | None = None) -> None:
        """Charges `units` to each of `blocks`; a block at or under `at_most` stays so."""
        for place in self._within(blocks):
            level = self._levels[place]
            if at_most is None:
                self._levels[place] = level + units
            else:
                self._levels[place] = max(level, min(level + units, at_most))

    def most(self, blocks: Blocks) -> int:
        """Units charged to that of `blocks` that was charged most."""
        first = bisect_right(self._starts, blocks.first) - 1
        last = bisect_right(self._starts, blocks.end - 1)
        return max(self._levels[first:last])

    def steps(self) -> Iterator[tuple[Blocks, int]]:
        """Runs of neighbouring blocks with what each of them was charged, in order."""
        ends = [*self._starts[1:], END]
        merged: list[tuple[int, int, int]] = []
        for start, end, level in zip(self._starts, ends, self._levels, strict=True):
            if merged and merged[-1][2] == level:
                merged[-1] = (merged[-1][0], end, level)
            else:
                merged.append((start, end, level))
        for start, end, level in merged:
            yield Blocks(start, end), level

    def _within(self, blocks: Blocks) -> range:
        return range(self._cut(blocks.first), self._cut(blocks.end))

    def _cut(self, at: int) -> int:
        """The place of the step that starts at `at`, made if there is none."""
        if at == END:
            return len(self._starts)
        place = bisect_right(self._starts, at) - 1
        if self._starts[place] == at:
            return place
        self._starts.insert(place + 1, at)
        self._levels.insert(place + 1, self._levels[place])
        return place + 1
