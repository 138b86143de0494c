"""How numbers and times are written on the page; the templates use these as filters."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

SHORT: Final = 12  # characters of a digest that a person sees
_BRACKETED: Final = re.compile(r"^\[[a-z.-]+\] ")
_CODE: Final = re.compile(r"`([^`]+)`")


def when(seconds: float) -> Markup:
    """A time, UTC, to the minute; 0: never."""
    if not seconds:
        return Markup("never")
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        f"{at:%Y-%m-%dT%H:%MZ}", f"{at.day} {at:%B %Y, %H:%M}"
    )


def ago(seconds: float, now: float | None = None) -> str:
    """How long ago that was."""
    passed = max(0, int((time.time() if now is None else now) - seconds))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if passed >= 2 * size:
            return f"{passed // size} {unit}s ago"
    return "a minute ago" if passed >= 60 else f"{passed} seconds ago"


def clock(seconds: float) -> str:
    """A time, UTC, to the minute, for a column."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}" if seconds else "–"


def day(seconds: float) -> str:
    """A day, UTC."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%B %Y}"


def uncoded(text: str) -> str:
    """A refusal in one sentence, without the code that stands before it."""
    return _BRACKETED.sub("", text)


def minute(at: str) -> str:
    """An ISO time, UTC, to the minute."""
    return at[:16].replace("T", " ")


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def times(number: int) -> str:
    """How often."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def epsilon(value: float) -> str:
    """ε to three digits."""
    return f"{value:.3g}"


def delta(value: float) -> str:
    """δ as odds, where it is a round number of them."""
    odds = 1.0 / value
    return f"1 in {odds:,.0f}" if abs(odds - round(odds)) < 1e-9 * odds else f"{value:g}"


def percent(share: float) -> str:
    """A share from 0 to 1; never 0 % of something, never 100 % of less."""
    if 0 < share < 0.01:
        return "less than 1 %"
    if 0.99 < share < 1:
        return "more than 99 %"
    return f"{100 * share:.0f} %"


def size(number: int) -> str:
    """Bytes, in the unit that fits."""
    value = float(number)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def short(digest: str) -> str:
    """What a person compares of a digest."""
    return digest[:SHORT]


def sentence(text: str) -> str:
    """With a capital letter, unless it begins with a name that is written small."""
    first = text.partition(" ")[0]
    return f"{text[:1].upper()}{text[1:]}" if first.strip(",:;").isalpha() else text


def prose(text: str) -> Markup:
    """Escaped text in which what stands in backticks is shown as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped here


FILTERS: Final = (
    "ago", "clock", "count", "day", "delta", "epsilon", "minute", "percent", "prose", "sentence",
    "short", "size", "times", "uncoded", "when",
)  # fmt: skip
