"""How a run shows itself: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cairn_server.events import Event, Watch

LINES_PER_QUESTION = 4  # plain lines that a long question prints


@contextmanager
def watching(*, as_json: bool = False, stream: TextIO | None = None) -> Iterator[Watch]:
    """A `Watch` for this output: JSON lines if asked for, a bar on a terminal, else lines."""
    stream = stream or sys.stderr
    if as_json:
        yield lambda event: _print(stream, json.dumps(asdict(event)))
    elif stream.isatty():
        with _bars(stream) as watch:
            yield watch
    else:
        yield lambda event: _line(stream, event)


@contextmanager
def _bars(stream: TextIO) -> Iterator[Watch]:
    columns = (
        TextColumn("  {task.description:<28}"),
        BarColumn(bar_width=32),
        TextColumn("{task.completed:>3.0f}/{task.total:.0f} rounds"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(file=stream)) as progress:

        def watch(event: Event) -> None:
            if event.stage == "round":
                if event.question not in tasks:
                    tasks[event.question] = progress.add_task(event.question, total=event.total)
                progress.update(tasks[event.question], completed=event.done)
            elif event.text:
                progress.console.print(f"  {event.text}", highlight=False)

        yield watch


def _line(stream: TextIO, event: Event) -> None:
    if event.stage == "round":
        every = max(1, event.total // LINES_PER_QUESTION)
        if event.done % every == 0 or event.done == event.total:
            _print(stream, f"  {event.question}: round {event.done} of {event.total}")
    elif event.text and event.stage != "stopped":  # the error itself says why it stopped
        _print(stream, f"  {event.text}")


def _print(stream: TextIO, line: str) -> None:
    print(line, file=stream, flush=True)
