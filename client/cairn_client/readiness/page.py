"""`write_readiness`: the page, one self-contained HTML file that only its owner can read."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from cairn_client.readers import MAPPING_FILE
from cairn_client.readiness.drawing import bars, line
from cairn_client.readiness.facts import Readiness
from cairn_client.readiness.scores import GAP_LABELS, InstrumentFacts
from cairn_protocol.errors import InputError


@dataclass(frozen=True)
class Drawn:
    """An instrument with its drawings."""

    facts: InstrumentFacts
    values: str
    gaps: str
    first: str
    later: str


def write_readiness(facts: Readiness, path: Path, made: datetime | None = None) -> None:
    """Writes the page to `path`, mode 0600, in place of an older one.

    Raises:
        InputError: it cannot be written.
    """
    text = readiness_page(facts, made)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}",
            code="report-unwritable",
            why=error.strerror or type(error).__name__,
            hint="check that the folder exists and may be written to",
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def readiness_page(facts: Readiness, made: datetime | None = None) -> str:
    """The page as HTML; `made` when its numbers were, None: now."""
    environment = Environment(
        loader=PackageLoader("cairn_client.readiness", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    when = made or datetime.now()
    return environment.get_template("page.html").render(
        facts=facts,
        made=f"{when.astimezone():%Y-%m-%d %H:%M}",
        instruments=[_drawn(one) for one in facts.instruments],
        mapping=MAPPING_FILE,
    )


def _drawn(facts: InstrumentFacts) -> Drawn:
    edges = [f"{facts.lowest + i * facts.bin_width:g}" for i in range(len(facts.bins))]
    means = [q.first_mean for q in facts.quarters if q.first_mean is not None]
    first = line(
        [(q.name, q.first_mean, q.first_error) for q in facts.quarters],
        f"First {facts.name} score by quarter of entry",
        low=facts.lowest,
        high=facts.highest,
    )
    later = line(
        [(q.name, q.later, None) for q in facts.quarters],
        f"Share scored with {facts.name} around week 8 by quarter of entry",
        low=0.0,
        high=1.0,
        percent=True,
    )
    return Drawn(
        facts,
        values=bars(facts.bins, edges, f"{facts.name} scores"),
        gaps=bars(facts.gaps, GAP_LABELS, f"Weeks between two {facts.name} scores"),
        first=first if means else "",
        later=later,
    )
