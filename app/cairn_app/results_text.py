"""What came back, as text and as files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_protocol.proto import results_pb2 as pb

LABEL = 46


def list_text(reply: pb.ResultsReply, at: str) -> str:
    """The studies that gave something back."""
    if not reply.studies:
        return (
            "Nothing has come back yet. Results come by themselves once the research team has "
            "released them."
        )
    return "\n".join([*_studies(reply), "", reply.caption, f"Next   cairn clinic results NAME{at}"])


def beside_text(reply: pb.ResultsReply, beside: pb.OwnBesideReply) -> str:
    """The pooled answers, each number with this clinic's own."""
    return "\n".join(_beside(reply, beside))


def write_results_folder(out: Path, reply: pb.ResultsReply, beside: pb.OwnBesideReply) -> None:
    """`compare.html`, `results.json` and the drawings in the new folder `out`, for its owner alone.

    Raises:
        InputError: it exists, or cannot be written.
    """
    drawings = [drawing for answer in beside.answers for drawing in answer.drawings]
    write_drawings(out, drawings)
    _write(out / "compare.html", beside.page.encode())
    _write(out / "results.json", reply.results)


def write_drawings(out: Path, drawings: Iterable[pb.Drawing]) -> None:
    """Each drawing as SVG in the new folder `out`, for its owner alone.

    Raises:
        InputError: it exists, or cannot be written.
    """
    try:
        out.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise InputError(
            f"{out} exists already", code="file-exists", hint="choose another name"
        ) from None
    for number, drawing in enumerate(drawings, 1):
        _write(out / f"{number:02}.svg", drawing.svg.encode())


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _studies(reply: pb.ResultsReply) -> Iterator[str]:
    for study in reply.studies:
        version = "" if study.version == 1 else f", version {study.version}"
        when = time.strftime("%Y-%m-%d", time.localtime(study.received_at))
        yield f"{study.name:<24} came back on {when}{version}"
        yield f"  {study.title}" + (" (synthetic)" if study.synthetic else "")
        for model in study.models:
            tuned = ", tuned to your patients" if model in study.tuned else ""
            yield f"  with the model that {model!r} trained{tuned}"
        if study.models:
            yield "  expected courses: " + (f"off: {study.courses}" if study.courses else "on")


def _beside(reply: pb.ResultsReply, beside: pb.OwnBesideReply) -> Iterator[str]:
    yield beside.caption
    yield ""
    yield f"{beside.study.title}: all clinics, beside your own {beside.patients} patients"
    told = {answer.question: answer for answer in reply.answers}
    for answer in beside.answers:
        yield ""
        yield answer.title
        yield from (f"  {sentence}" for sentence in told[answer.question].sentences)
        if answer.without:
            yield f"  No figure of your own: {answer.without}."
            continue
        yield "  " + "".ljust(LABEL) + "all clinics".ljust(26) + "this clinic"
        for estimate in answer.estimates:
            label = estimate.label + (f", {estimate.unit}" if estimate.unit else "")
            pooled, own = _value(estimate.pooled), _value(estimate.own)
            yield "  " + _fit(label).ljust(LABEL) + pooled.ljust(26) + own


def _value(value: pb.OwnValue) -> str:
    if not value.HasField("value"):
        return "held back" if value.suppressed else "–"
    shown = f"{value.value:.2f}"
    if value.HasField("low") and value.HasField("high"):
        shown += f" ({value.low:.2f} to {value.high:.2f})"
    return shown.replace("-", "−")


def _fit(label: str) -> str:
    return label if len(label) < LABEL else f"{label[: LABEL - 2]}…"
