"""What a study found, as files: a page for people, numbers for programs.

results.json     everything, full precision ("cairn-results/1")
report.html      one self-contained page
estimates.csv    one row a number
figures/         each figure as .svg and .png
released/        arrays that a question released, such as a model's parameters, as .safetensors
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from cairn_server.report.atomic import replace_atomically
from cairn_server.report.estimates import dump_csv
from cairn_server.report.page import lay_out, render_page
from cairn_server.report.results import dump, load_results
from cairn_server.results import StudyResults

if TYPE_CHECKING:
    from cairn_server.receipt import Receipt

__all__ = ["Paths", "load_results", "sealed_path", "write_results"]


@dataclass(frozen=True)
class Paths:
    """Where the files are."""

    results: Path
    report: Path
    estimates: Path
    figures: tuple[Path, ...]
    released: tuple[Path, ...] = ()


def write_results(results: StudyResults, out: Path, *, receipt: Receipt | None = None) -> Paths:
    """Write all files into the folder `out`, each whole or not at all, results.json first.

    What a blinded run sealed goes beside the folder, never into it, and before anything else.

    Without a `receipt` the page calls itself a draft. The numbers reach the disk before anything is
    drawn: a fault in a picture cannot lose them.

    Raises:
        InputError: the folder cannot be written.
    """
    numbers = dump(results)
    if results.sealed:
        replace_atomically(sealed_path(out), results.sealed)
    paths = Paths(out / "results.json", out / "report.html", out / "estimates.csv", ())
    released = _write_released(results, out / "released")
    replace_atomically(paths.results, numbers)
    replace_atomically(paths.estimates, dump_csv(results))
    page = lay_out(results)
    figures = []
    for number, figure in enumerate(page.figures, 1):
        for suffix, data in (("svg", figure.drawing.svg), ("png", figure.drawing.png)):
            path = out / "figures" / f"{number:02d}-{figure.key}.{suffix}"
            replace_atomically(path, data)
            figures.append(path)
    for stale in {*(out / "figures").glob("[0-9][0-9]-*.[sp][vn]g")} - {*figures}:
        stale.unlink()  # of an earlier run of the study, whose page had figures that this lacks
    digest = hashlib.sha256(numbers).hexdigest()
    replace_atomically(paths.report, render_page(page, digest, receipt).encode())
    return Paths(paths.results, paths.report, paths.estimates, tuple(figures), released)


def sealed_path(folder: Path) -> Path:
    """The file beside the results in `folder` that tells which arm bears which letter."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.sealed.json")


def _write_released(results: StudyResults, folder: Path) -> tuple[Path, ...]:
    written = []
    for answer in results.answers:
        if answer.released:
            arrays = {name: np.ascontiguousarray(a) for name, a in answer.released.items()}
            path = folder / f"{answer.question}.safetensors"
            replace_atomically(path, save(arrays, {"study": results.study.digest.hex()}))
            written.append(path)
    return tuple(written)
