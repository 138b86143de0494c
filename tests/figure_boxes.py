"""What a drawn sheet's words cover: none may leave the page, no two may overlap."""

from __future__ import annotations

from itertools import combinations

from matplotlib.figure import Figure as Sheet
from matplotlib.transforms import BboxBase

Boxes = list[tuple[str, BboxBase]]


def words_on(sheet: Sheet) -> Boxes:
    """Every text that is seen, axes' numbers too, with its box in pixels."""
    sheet.canvas.draw()
    every = [*sheet.texts]
    for axes in sheet.axes:
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(ends)
            every += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
    return [(t.get_text(), t.get_window_extent()) for t in every if t.get_text()]


def check_words(sheet: Sheet) -> None:
    """Fails where words leave the page or overlap."""
    boxes = words_on(sheet)
    for text, box in boxes:
        assert box.x0 >= -1, text
        assert box.x1 <= sheet.bbox.width + 1, text
        assert box.y0 >= -1, text
        assert box.y1 <= sheet.bbox.height + 1, text
    for (first, a), (second, b) in combinations(boxes, 2):
        apart_x = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1
        apart_y = a.y1 <= b.y0 + 2.5 or b.y1 <= a.y0 + 2.5
        assert apart_x or apart_y, (first, second)
