"""A figure in words: `describe` for those who do not see it, `caption` for those who do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cairn_models.answers import Bars, Course, Estimate, Figure, Forest, Funnel, Histogram
from cairn_server.points import estimates_in
from cairn_server.report import words
from cairn_server.report.dots import value_range
from cairn_server.report.forest import is_ratio
from cairn_server.report.histogram import unequal


def describe(figure: Figure) -> str:
    """The figure in words, for those who do not see it; the table beneath has every number."""
    match figure:
        case Forest():
            rows = [f"{e.label}: {words.estimate_with_interval(e)}" for e in figure.estimates]
            return f"Forest plot, {figure.x_label}. " + "; ".join(rows) + "."
        case Course():
            kind = "Steps" if figure.steps else "Lines"
            rows = [f"{name}: {_from_to(lines['middle'])}" for name, lines in figure.series.items()]
            rows += [f"at risk, {name}: {_from_to(n, 0)}" for name, n in figure.at_risk.items()]
            return f"{kind} over {figure.x_label}, {figure.y_label}. " + "; ".join(rows) + "."
        case Bars():
            said = _each(figure.groups, figure.series.items())
            return f"Dots by {figure.x_label}, {figure.y_label}. {said}"
        case Histogram():
            said = _each(figure.bins, figure.series.items())
            return f"Histogram over {figure.x_label}, {figure.y_label}. {said}"
        case Funnel():
            said = _each(figure.stages, figure.series.items())
            return f"Funnel, per cent of those at the first stage. {said}"


def _from_to(values: Sequence[float | None], digits: int | None = None) -> str:
    first, last = (words.number(values[i], digits) for i in (0, -1)) if values else ("", "")
    return f"from {first} to {last}"


def _each(places: Sequence[str], series: Iterable[tuple[str, tuple[Estimate, ...]]]) -> str:
    rows = (
        (f"{name}: " if name else "")
        + ", ".join(f"{at} {words.estimate(e)}" for at, e in zip(places, row, strict=True))
        for name, row in series
    )
    return "; ".join(rows) + "."


def caption(figure: Figure) -> str:
    """What a reader must know to read the picture, beyond its axes."""
    every = tuple(estimates_in(figure))
    around = f"lines their 95 % intervals{_noise(every)}"
    match figure:
        case Forest():
            log = " The axis is logarithmic." if is_ratio(figure) else ""
            return f"Squares are estimates, {around}.{log}"
        case Course():
            held = "Each value holds until the next step." if figure.steps else ""
            return f"{figure.band} {held}".strip()
        case Bars():
            low, high = value_range(figure)
            cut = "" if low <= 0 <= high else " The vertical axis does not start at zero."
            return f"Dots are estimates, {around}.{cut}"
        case Histogram():
            widths = " Bins differ in width: read their heights." if unequal(figure) else ""
            gaps = " A cross stands where a number is held back." if _held_back(every) else ""
            return f"Bars are estimates, {around}.{widths}{gaps}"
        case Funnel():
            return f"Bars and their marks are estimates, {around}."


def _held_back(estimates: Sequence[Estimate]) -> bool:
    return any(e.value is None for e in estimates)


def _noise(estimates: Sequence[Estimate]) -> str:
    noised = any(e.noise_share for e in estimates)
    return ", privacy noise included" if noised else ""
