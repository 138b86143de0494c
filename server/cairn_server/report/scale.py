"""What stands above a plot with a vertical axis: title, the axis's name, which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from cairn_server.report.canvas import Layout, Page, wrap
from cairn_server.report.forest import MARGIN
from cairn_server.report.palette import MUTED


@dataclass(frozen=True)
class ValueAxis:
    """Words above the plot; `bottom` is where they end, inches from the top.

    The axis's name stands level above the axis: nobody has to tilt their head.
    """

    title: list[str]
    name: list[str]
    bottom: float

    @classmethod
    def above(cls, layout: Layout, title: list[str], y_label: str, hint: str) -> ValueAxis:
        """The words for this layout; `hint` follows the axis's name."""
        text = " · ".join(part for part in (y_label, hint) if part)
        name = wrap(text, layout.width - 2 * MARGIN, layout.points, 3)
        lines = 1.25 * len(title) + len(name) + 0.7
        return cls(title, name, MARGIN + layout.line * lines)


def write_frame(
    page: Page, frame: ValueAxis, x_lines: list[str], x_label_at: tuple[float, float]
) -> None:
    """Write the title, the vertical axis's name and, centred at `x_label_at`, the other's."""
    line = page.layout.line
    y = MARGIN
    for text in frame.title:
        page.write(MARGIN, y + 0.62 * line, text, bold=True, scale=1.15)
        y += 1.25 * line
    for text in frame.name:
        page.write(MARGIN, y + 0.5 * line, text, colour=MUTED.light)
        y += line
    middle, top = x_label_at
    for i, text in enumerate(x_lines):
        page.write(middle, top + (i + 0.5) * line, text, align="center", colour=MUTED.light)
