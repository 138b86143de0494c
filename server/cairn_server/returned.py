"""`give_back`: a release, made ready for the clinics whose patients it is about.

What clinics get is what was released, and nothing that was not: the results.json of a release that
this server's team signed, and the files of every model that the study trained. It lies in the
server's home as one signed message until each clinic has it (`cairn_server.returning`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cairn_models.export import files
from cairn_protocol.errors import CairnError, InputError, OurFault
from cairn_protocol.findings import LARGEST_FILES, RESULTS, Findings, FoundFile
from cairn_protocol.messages import decode
from cairn_protocol.study import read_bounded
from cairn_protocol.wire_types import UNSIGNED
from cairn_server.files import replace
from cairn_server.home import ServerHome
from cairn_server.model_export import KIND, export_model
from cairn_server.release import check_release
from cairn_server.report import load_results
from cairn_server.store import Store

FOLDER: Final = "returned"
_A_DIGEST: Final = re.compile("[0-9a-f]{64}")
ENDING: Final = ".findings"


def give_back(home: ServerHome, store: Store, release: Path) -> Findings:
    """The findings in the folder `release`, which the running server now offers to its clinics.

    Raises:
        InputError: it is not a release as it was made, not this team's, of a study that was not
            offered from here, or too large.
    """
    team = home.team()
    check_release(release, team.fingerprint)
    study = load_results(release).study
    known = store.study(study.digest)
    if known is None or not known.roster:
        raise InputError(
            f"{study.name!r} was not offered to clinics by this server",
            code="study-unknown",
            hint="give the home of the server that ran it",
        )
    try:
        unsigned = Findings(study.digest, tuple(_files(release)), UNSIGNED)
    except OurFault as error:
        raise InputError(
            f"the release of {study.name!r} cannot be given back to clinics",
            code="findings-too-large",
            why=f"{error.why}; at most {LARGEST_FILES >> 20} MiB travel in one message",
            hint="give the clinics the release's folder by hand",
        ) from None
    findings = unsigned.with_signature(team.sign("findings", unsigned.signed))
    folder = home.path / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    replace(folder / f"{study.digest.hex()}{ENDING}", findings.to_bytes())
    return findings


def ready(folder: Path) -> Iterator[tuple[bytes, Path]]:
    """The digest of every study whose findings lie in `folder`, and the file.

    A file under another name, a copy that somebody made, is none.
    """
    for path in sorted(folder.glob(f"*{ENDING}")):
        name = path.name.removesuffix(ENDING)
        if _A_DIGEST.fullmatch(name):
            yield bytes.fromhex(name), path


def read(path: Path) -> Findings:
    """The findings in a file that `give_back` wrote.

    Raises:
        InputError: it is damaged.
    """
    try:
        found = decode(path.read_bytes())
    except (CairnError, OSError):
        found = None
    if isinstance(found, Findings):
        return found
    raise InputError(
        f"{path} is damaged",
        code="findings-damaged",
        hint="release the study again with --home, or take the file away",
    )


def _files(release: Path) -> Iterator[FoundFile]:
    """Sorted by name, as the protocol has them."""
    found = {RESULTS: read_bounded(release / RESULTS, LARGEST_FILES)}
    for answer in load_results(release).answers:
        if answer.kind == KIND:
            found |= {f"{answer.question}/{k}": v for k, v in _model(release, answer.question)}
    for name in sorted(found):
        yield FoundFile(name, found[name])


def _model(release: Path, question: str) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        export_model(release, question, folder, tested=lambda _: None, onnx=False)
        yield from files.read(folder).items()
