"""Numbers as a reader wants them: a true minus, few digits, never 'nan' or 'None'."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Final

from cairn_models.answers import Cell, Estimate

NOT_ESTIMATED: Final = "not estimated"
SUPPRESSED: Final = "suppressed"
COARSE: Final = 0.5  # per cent or percentage points
MONTHS: Final = (  # English whatever the locale
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int | None = None) -> str:
    """`value` with `digits` decimals (by default as many as its size calls for)."""
    if value is None or not math.isfinite(value):
        return NOT_ESTIMATED
    size = abs(value)
    if digits is None:
        digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 0.095 else 3
        if 0 < size < 0.0005:
            return scientific(value)
    text = f"{value:,.{digits}f}".replace(",", "\u202f")  # narrow no-break space
    if not text.strip("-0.\u202f"):
        text = text.lstrip("-")
    return text.replace("-", "−")


def printable(text: str) -> str:
    """`text` without the characters that XML 1.0 (§2.2) forbids, such as NUL."""
    return _NOT_IN_XML.sub("", text)


def scientific(value: float) -> str:
    """`value` as a power of ten, e.g. 10⁻⁶ or 2.5 × 10⁻⁷."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    mantissa = mantissa.removesuffix(".0").replace("-", "−")
    if mantissa in ("1", "−1"):
        return mantissa.replace("1", power)
    return f"{mantissa} × {power}"


def interval(low: float | None, high: float | None, digits: int | None = None) -> str:
    """'low to high', or '–' where there is no interval."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    return f"{number(low, digits)} to {number(high, digits)}"


def percent(share: float | None) -> str:
    """A share of 1 in per cent; '–' where it is unknown."""
    if share is None or not math.isfinite(share):
        return "–"
    if 0 < share < 0.01:
        return "< 1 %"
    return f"{100 * share:.0f} %"


def estimate(e: Estimate) -> str:
    """The number alone, with its unit; 'suppressed' where it was held back."""
    if e.suppressed:
        return SUPPRESSED
    text = number(e.value, decimals(e))
    return text if text == NOT_ESTIMATED or not e.unit else f"{text} {e.unit}"


def decimals(e: Estimate) -> int | None:
    """One for per cents that are known no better than to half of one; None: as the size asks."""
    of_hundred = e.unit in ("%", "percentage points")
    coarse = e.standard_error is not None and e.standard_error >= COARSE
    return 1 if of_hundred and coarse else None


def estimate_with_interval(e: Estimate, digits: int | None = None) -> str:
    """'−1.92 (−2.70 to −1.14)', for the margin of a figure; no unit."""
    if e.suppressed:
        return SUPPRESSED
    digits = decimals(e) if digits is None else digits
    text, around = number(e.value, digits), interval(e.low, e.high, digits)
    if e.low == e.high == e.value:  # so by definition, such as the first stage of a funnel
        return text
    return text if around == "–" else f"{text} ({around})"


def cell(value: Cell, digits: int | None = None) -> str:
    """A table's cell; `digits` are the decimals of a float."""
    match value:
        case None:
            return "–"
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case int():
            return number(value, 0)
        case _:
            return number(value, digits)


def is_number(value: Cell) -> bool:
    """Whether a cell is set as a number, to the right."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps them readable."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(count: int) -> str:
    """Bytes in kB, MB or GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def moment(started: str) -> str:
    """An ISO 8601 time as '20 November 2026, 09:14 UTC'; as it stands if it is not one."""
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return started
    zone = f" {when.tzname()}" if when.tzinfo else ""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when:%H:%M}{zone}"
