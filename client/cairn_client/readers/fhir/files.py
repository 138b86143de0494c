"""`ExportFolder`: the files of an export, and each resource with its place.

`*.ndjson`, `*.jsonl`: a resource a line. `*.json`: a resource or a Bundle. Each may be `.gz`. The
names of files may be names of patients (one Bundle a patient): only those of the usual form,
`Observation.000.ndjson`, are shown, the others by their place in the sorted folder.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from cairn_client.readers.fhir.bundles import LONGEST_RESOURCE, documents
from cairn_protocol.errors import InputError

LARGEST_EXPORT_FILE: Final = 64 << 30  # bytes, unpacked: a wall against a gzip bomb
_MARK: Final = b"\xef\xbb\xbf"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
_LINES: Final = (".ndjson", ".jsonl")
_SHOWN: Final = re.compile(
    r"(?:[0-9]{1,6}[._-])?"
    r"(?:Patient|QuestionnaireResponse|Observation|CarePlan|Consent|EpisodeOfCare|ServiceRequest"
    r"|Encounter|Questionnaire|Bundle|bundle|export|all|resources)"
    r"(?:[._-][0-9]{1,6})*\.(?:ndjson|jsonl|json)(?:\.gz)?"
)


class TooLong(bytes):
    """The beginning of a line that is too long to be a resource."""


@dataclass(frozen=True)
class ExportFile:
    """One file: its path, and the name by which findings speak of it."""

    path: Path
    shown: str

    @property
    def in_lines(self) -> bool:
        """Whether it holds a resource a line."""
        return _plain(self.path).endswith(_LINES)

    def resources(self) -> Iterator[tuple[int, bytes]]:
        """Line or entry (from 1) and bytes, `TooLong` where a line is too long to be a resource.

        Raises:
            InputError: the file cannot be read, is UTF-16, or is a Bundle that breaks off.
        """
        try:
            with self._open() as stream:
                if stream.read(2) in _WIDE:
                    raise InputError(
                        f"{self.shown} is UTF-16",
                        code="encoding-wrong",
                        hint="FHIR is UTF-8: export it again",
                    )
                stream.seek(0)
                yield from _lines(stream) if self.in_lines else documents(stream, self.shown)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"cannot read {self.shown}",
                code="file-unreadable",
                why=getattr(error, "strerror", None) or "it is damaged, or not gzip",
                hint="check its permissions, or export it again",
            ) from None

    def _open(self) -> IO[bytes]:
        if self.path.name.lower().endswith(".gz"):
            return cast("IO[bytes]", _Bounded(self.path, "rb"))
        return self.path.open("rb")


class _Bounded(gzip.GzipFile):
    """A gzip file that stops at the wall."""

    def read(self, size: int | None = -1) -> bytes:
        self._check()
        return super().read(size)

    def readline(self, size: int | None = -1) -> bytes:
        self._check()
        return super().readline(size)

    def _check(self) -> None:
        if self.tell() > LARGEST_EXPORT_FILE:
            raise EOFError


class ExportFolder:
    """The files of `folder` within the clinic's folder `root`; `folder` may be one file."""

    def __init__(self, root: Path, folder: str) -> None:
        self.root, self.folder = root, folder

    def files(self) -> list[ExportFile]:
        """By name; sub-folders, too.

        Raises:
            InputError: there is none, or one lies outside the clinic's folder.
        """
        hint = "check folder = in [fhir] of mapping.toml; it must lie in the clinic's folder"
        root = self.root.resolve()
        try:
            top = (root / self.folder).resolve()
            if not top.is_relative_to(root):
                raise InputError(
                    f"{self.folder} lies outside the folder", code="file-outside", hint=hint
                )
            found = [top] if top.is_file() else sorted(p for p in top.rglob("*") if _named(p, top))
            for path in found:
                if not path.resolve().is_relative_to(root):
                    raise InputError(
                        f"a link in {self.folder} leads out of the clinic's folder",
                        code="file-outside",
                        hint=hint,
                    )
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
            why = getattr(error, "strerror", None) or "the name is not one a folder can have"
            raise InputError(
                f"cannot read {self.folder}", code="file-unreadable", why=why, hint=hint
            ) from None
        if not found:
            raise InputError(
                f"{self.folder} holds no FHIR file",
                code="file-missing",
                why="none of its files ends in .ndjson, .jsonl or .json (or these and .gz)",
                hint=hint,
            )
        return [ExportFile(p, self._label(p, i)) for i, p in enumerate(found, 1)]

    def _label(self, path: Path, number: int) -> str:
        if _SHOWN.fullmatch(path.name):
            return path.name
        return f"{self.folder} (file {number} by name)"


def _named(path: Path, top: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(top).parts)
    return not hidden and _plain(path).endswith((*_LINES, ".json")) and path.is_file()


def _plain(path: Path) -> str:
    return path.name.lower().removesuffix(".gz")


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := stream.readline(LONGEST_RESOURCE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_MARK)
        whole = len(line) <= LONGEST_RESOURCE or line.endswith(b"\n")
        if not whole:
            while rest := stream.readline(LONGEST_RESOURCE):
                if rest.endswith(b"\n"):
                    break
            yield number, TooLong(line)
        elif not line.isspace():
            yield number, line
