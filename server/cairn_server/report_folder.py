"""The folder that results are going to: may they be written there, and does it take them.

A charged run cannot be repeated, and a sealed file is the only key to its letters. So nothing is
written over another study's results, another charged run's, a release, or beside another run's
sealed file. Public data cost nothing: the same study over them may be run into its folder again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cairn_protocol.errors import InputError
from cairn_protocol.study import Study, read_bounded
from cairn_server.release import RECEIPT
from cairn_server.report import Paths, load_results, sealed_path, write_results
from cairn_server.report.results import LARGEST_RESULTS
from cairn_server.results import StudyResults


def check_for_run(out: Path, study: Study) -> None:
    """Nothing, if a new run of `study` may be written to `out`; asked before anything is spent.

    Raises:
        InputError: `input.file-exists`.
    """
    _check_not_released(out)
    if _there(sealed_path(out)):
        raise _taken(sealed_path(out), "it is the only key to the letters of an earlier run")
    found = _found(out)
    if found is None:
        return
    if found.study.digest != study.digest:
        raise _taken(out, f"it holds the results of another study: {found.study.name!r}")
    if found.spend.total.rho is not None:
        raise _taken(out, "it holds an earlier run of this study, which patients were charged for")


def check_for_report(out: Path, results: StudyResults) -> None:
    """Nothing, if `results`, read from a run's folder, may be written to `out`.

    Raises:
        InputError: `input.file-exists`.
    """
    _check_not_released(out)
    sealed = sealed_path(out)
    if _there(sealed):
        own = results.blinding.commitment if results.blinding else ""
        if hashlib.sha256(read_bounded(sealed, LARGEST_RESULTS)).hexdigest() != own:
            raise _taken(sealed, "it is the only key to the letters of another run")
    found = _found(out)
    if found is None:
        return
    if found.study.digest != results.study.digest:
        raise _taken(out, f"it holds the results of another study: {found.study.name!r}")
    if found.run != results.run or found.blinding != results.blinding:
        raise _taken(out, "it holds other results of this study")


@contextmanager
def held_ready(out: Path, *, blinded: bool) -> Iterator[None]:
    """A span in which `out` is there and has just been written to, for a run to fill.

    If the run raises, a folder that was made here and is still empty goes again.

    Args:
        blinded: that a sealed file will be written beside it.

    Raises:
        InputError: it cannot be made or written.
    """
    made = not _there(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for folder in (out, sealed_path(out).parent) if blinded else (out,):
            _try(folder)
    except OSError as error:
        raise InputError(
            f"cannot write into {out}",
            code="folder-unwritable",
            why=error.strerror or str(error),
            hint="check the folder's permissions and the space left, or choose another folder; "
            "nothing has been spent",
        ) from None
    try:
        yield
    except BaseException:
        if made:
            with suppress(OSError):
                out.rmdir()
        raise


def write_or_save(results: StudyResults, out: Path) -> tuple[Paths, InputError | None]:
    """Write `results` to `out`, or where that fails to a new folder; with the failure, if any.

    The new folder, for its owner alone, is in the current folder or else in the system's for
    temporary files. A sealed file lies in it too, beside the results.

    Raises:
        InputError: neither can be written.
    """
    try:
        return write_results(results, out), None
    except InputError as error:
        failure = error
    for place in (Path.cwd(), Path(tempfile.gettempdir())):
        with suppress(InputError, OSError):
            folder = Path(tempfile.mkdtemp(prefix="cairn-results-", dir=place))
            paths = write_results(results, folder / "results")
            return paths, InputError(
                failure.what,
                code="folder-unwritable",
                why=failure.why,
                hint=f"the results are whole in {paths.results.parent}: keep that folder, "
                "for what was spent cannot be spent again",
            )
    raise failure


def _found(out: Path) -> StudyResults | None:
    """The results in `out`, or None. What cannot be read may have been charged, and is taken."""
    path = out / "results.json"
    if not _there(path):
        return None
    try:
        return load_results(path)
    except InputError as error:
        raise _taken(path, f"what it holds cannot be read ({error.code})") from None


def _check_not_released(out: Path) -> None:
    if _there(out / RECEIPT):
        raise _taken(out, "it holds a release, which its receipt binds as it is")


def _there(path: Path) -> bool:
    """Whether anything bears that name, be it a broken link."""
    return os.path.lexists(path)


def _try(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder, prefix=".cairn-probe.") as file:
        file.write(b"may this be written?\n")
        file.flush()
        os.fsync(file.fileno())


def _taken(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} exists and is not overwritten",
        code="file-exists",
        why=why,
        hint="give another folder with --out, or move away what is there",
    )
