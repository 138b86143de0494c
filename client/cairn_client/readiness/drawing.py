"""Small drawings as SVG text: bars and a line with its error bars. Each stands beside its table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 560
HEIGHT: Final = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 18, 30


def bars(values: Sequence[int], labels: Sequence[str], title: str) -> str:
    """Counts over classes, each with its number on top."""
    if not values or not max(values):
        return ""
    step = (WIDTH - _LEFT - _RIGHT) / len(values)
    room, tallest = HEIGHT - _TOP - _BOTTOM, max(values)
    parts = [
        f'<line class="axis" x1="{_LEFT}" x2="{WIDTH}" y1="{HEIGHT - _BOTTOM}" '
        f'y2="{HEIGHT - _BOTTOM}"/>'
    ]
    for index, (value, label) in enumerate(zip(values, labels, strict=True)):
        tall = room * value / tallest
        x, y = _LEFT + index * step, HEIGHT - _BOTTOM - tall
        middle = x + step / 2
        parts.append(
            f'<rect class="bar" x="{x + 2:.1f}" y="{y:.1f}" width="{step - 4:.1f}" '
            f'height="{tall:.1f}"/>'
        )
        if value:
            parts.append(f'<text x="{middle:.1f}" y="{y - 4:.1f}">{value}</text>')
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 12}">{escape(label)}</text>')
    return _framed(parts, title)


def line(
    points: Sequence[tuple[str, float | None, float | None]],
    title: str,
    *,
    low: float,
    high: float,
    percent: bool = False,
) -> str:
    """A value over classes (label, value, standard error), with 95 % bars where it has an error."""
    if sum(value is not None for _, value, _ in points) < 2:  # one is no line
        return ""
    span = (high - low) or 1.0
    room = HEIGHT - _TOP - _BOTTOM

    def y_of(value: float) -> float:
        return HEIGHT - _BOTTOM - room * min(max((value - low) / span, 0.0), 1.0)

    step = (WIDTH - _LEFT - _RIGHT) / len(points)
    every = -(-len(points) // 8)  # labels that fit
    parts, path = [], ""
    for mark in (low, (low + high) / 2, high):
        text = f"{mark:.0%}" if percent else f"{mark:g}"
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH}" y1="{y_of(mark):.1f}" '
            f'y2="{y_of(mark):.1f}"/><text class="tick" x="{_LEFT - 6}" '
            f'y="{y_of(mark) + 4:.1f}">{text}</text>'
        )
    for index, (label, value, error) in enumerate(points):
        x = _LEFT + (index + 0.5) * step
        if index % every == 0:
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 8}">{escape(label)}</text>')
        if value is None:
            continue
        path += f"{'L' if path else 'M'}{x:.1f} {y_of(value):.1f}"
        if error is not None:
            top, foot = y_of(value + 1.96 * error), y_of(value - 1.96 * error)
            parts.append(
                f'<line class="error" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{foot:.1f}"/>'
            )
        parts.append(f'<circle cx="{x:.1f}" cy="{y_of(value):.1f}" r="3.5"/>')
    return _framed([*parts, f'<path class="line" d="{path}"/>'], title)


def _framed(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
