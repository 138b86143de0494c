"""What one patient adds to a "describe" question, in words."""

from __future__ import annotations

from collections.abc import Iterator

from cairn_models.contribution import MIXED, Contribution, Slot, listed, moments, table
from cairn_models.description import making, minutes, programme, waits
from cairn_models.description.blocks import COUNT_WEIGHT, Block, Cells, Divided
from cairn_models.description.quantiles import Bins
from cairn_models.description.reading import Frame
from cairn_models.description.stages import measured, used


def contribution(frame: Frame) -> Contribution:
    """The patient's part of each block, in the slot of the patient's arm."""
    blocks = frame.layout.blocks
    mixed = any(isinstance(b, Cells) and b.shaping is not None for b in blocks)
    parts = listed(tuple(dict.fromkeys(_title(frame, block) for block in blocks)))
    return Contribution(
        asked=f"A description of the people in the arms {listed(frame.arms)}: {parts}.",
        who="Patients in these arms; whoever lacks what a part asks adds zeros to that part.",
        how="To each part a person adds one: one of a table of people, or a number brought from "
        "its public range to −1 … 1. Each part is multiplied by a public weight."
        + (f" {MIXED}" if mixed else ""),
        slots=tuple(slot for block in blocks for slot in _slots(frame, block)),
    )


def _slots(frame: Frame, block: Block) -> Iterator[Slot]:
    weight, title = frame.layout.scale(block), _title(frame, block)
    for arm in frame.arms:
        of = f"{title}, {arm}"
        if isinstance(block, Cells):
            yield table(of, _places(frame, block), block.seen, weight)
        elif isinstance(block, Divided):
            for trait in ("not reliably recovered", "reliably recovered"):
                value = f"the value, 0 to {block.highest:g}"
                yield moments(f"{of}, {trait}", value, COUNT_WEIGHT, weight)
        else:
            value = f"the value, {block.lowest:g} to {block.highest:g}"
            yield moments(of, value, COUNT_WEIGHT, weight)


def _title(frame: Frame, block: Block) -> str:
    scale, name = frame.instrument.name, block.name
    week = name.removesuffix(f"-{making.HISTOGRAM}").removeprefix("week-")
    at_week = f"{scale} at week {week}"
    known = {
        making.SCORE: f"{scale} at the start",
        making.HISTOGRAM: f"{scale} at the start, point by point",
        making.FUNNEL: "how far measurement came",
        programme.FUNNEL: "how far the programme was used",
        programme.ACTIVE: "weeks of active use",
        waits.WAITS: "weeks until therapy began",
        minutes.MINUTES: "minutes of staff",
    }
    if name in frame.variables:
        return name
    if name in known:
        return known[name]
    return f"{at_week}, point by point" if name.endswith(making.HISTOGRAM) else at_week


def _places(frame: Frame, block: Cells) -> tuple[str, ...]:
    name = block.name
    if name in frame.variables:
        return frame.variables[name]
    if name == making.FUNNEL:
        return tuple(f"came as far as: {stage.words}" for stage in measured(frame.weeks))
    if name == programme.FUNNEL:
        steps = used(frame.use.weeks, frame.weeks[-1])[:-1]
        return tuple(
            f"came as far as: {step.words}, {how} at week {frame.weeks[-1]:g}"
            for step in steps
            for how in ("not assessed", "assessed")
        )
    if name == waits.WAITS:
        begun = (f"begun by week {value:g}" for value in _values(frame.waits))
        return (*begun, "moved to more intensive care first", "still waiting")
    return tuple(f"score {value:g}" for value in _values(frame.bins))


def _values(bins: Bins) -> Iterator[float]:
    return (bins.lowest + bins.step * place for place in range(bins.number))
