"""Instruments: range, bands, thresholds of reliable change and caseness.

Source: NHS England, IAPT manual (reliable change PHQ-9 6, GAD-7 4; caseness PHQ-9 ≥ 10, GAD-7 ≥ 8);
instrument manuals for the ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Instrument:
    """One questionnaire's total score; higher is worse unless `higher_is_better`."""

    name: str
    lowest: float
    highest: float
    caseness: float | None = None
    reliable_change: float | None = None
    whole_numbers: bool = True  # False: pro-rated or mean scores are usual
    higher_is_better: bool = False

    def admits(self, value: float) -> bool:
        """Whether `value` can be a score: finite and within the range."""
        return self.lowest <= value <= self.highest


INSTRUMENTS: Final[dict[str, Instrument]] = {
    i.name: i
    for i in (
        Instrument("PHQ-9", 0, 27, caseness=10, reliable_change=6, whole_numbers=False),
        Instrument("GAD-7", 0, 21, caseness=8, reliable_change=4, whole_numbers=False),
        Instrument("WSAS", 0, 40),
        Instrument("CORE-10", 0, 40, whole_numbers=False),
        Instrument("PHQ-4", 0, 12),
        Instrument("PHQ-8", 0, 24, whole_numbers=False),
        Instrument("BDI-II", 0, 63),
        Instrument("CES-D", 0, 60),
        Instrument("PCL-5", 0, 80),
        Instrument("ISI", 0, 28),
        Instrument("AUDIT-C", 0, 12),
    )
}
