"""`FindingsStore`: what came back from each study, sealed, every version of it.

    returned/STUDY/NUMBER.sealed        a version: when it came · Findings
    returned/STUDY/tuned-QUESTION.sealed   the model that this clinic tuned, if that helped

Each file opens only in its place, with the clinic's key. Versions are never changed or removed.
People may take a damaged one away: its number is not given again while a later one is here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cairn_client.seal import Seal
from cairn_client.sealed_file import PartsFile
from cairn_protocol.errors import InputError, OurFault, PolicyRefusal
from cairn_protocol.findings import Findings
from cairn_protocol.identity import Identity

FOLDER: Final = "returned"
MOST_VERSIONS: Final = 20  # of one study; each is signed by the team, a disk is finite all the same
_MARK: Final = b"cairn returned 1\n"
_NUMBERED: Final = re.compile(r"(\d{4})\.sealed")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Version:
    """Findings that came here: the how-manieth of their study (from 1), their digest, and when."""

    study: bytes
    number: int
    findings: bytes
    at: datetime


@dataclass(frozen=True)
class TunedFiles:
    """A model that this clinic tuned: its files by name, and from which findings' model."""

    findings: bytes
    at: datetime
    files: Mapping[str, bytes]


class FindingsStore:
    """The sealed findings in the folder `state` of the clinic with this identity."""

    def __init__(self, state: Path, identity: Identity) -> None:
        self._folder = state / FOLDER
        self._seal = Seal(identity)

    def keep(self, findings: Findings) -> Version:
        """The version that holds `findings`: the known one, or a new one, on disk.

        Raises:
            PolicyRefusal: too many versions lie here.
            OurFault: it cannot be written.
        """
        numbers = self._numbers(findings.study)
        for number in numbers:
            with suppress(InputError):  # beside a damaged one, the same may come again
                version = self._version(findings.study, number)
                if version.findings == findings.digest:
                    return version
        if len(numbers) >= MOST_VERSIONS:
            raise PolicyRefusal(
                "this clinic has too many findings of the study already", code="too-many-findings"
            )
        now = datetime.now(UTC).replace(microsecond=0)
        version = Version(findings.study, max(numbers, default=0) + 1, findings.digest, now)
        head = json.dumps({"findings": findings.digest.hex(), "at": now.isoformat()}).encode()
        self._write(
            self._path(findings.study, version.number),
            {"head": head, "body": findings.body},
            *_place(findings.study, version.number),
        )
        return version

    def versions(self, study: bytes) -> tuple[Version, ...]:
        """Every version of a study's findings, the first first.

        Raises:
            InputError: a file was changed, cut off, or is another clinic's.
        """
        return tuple(self._version(study, number) for number in self._numbers(study))

    def last(self, study: bytes) -> Version | None:
        """The last version of a study's findings; None: nothing came back.

        Raises:
            InputError: its file was changed, cut off, or is another clinic's.
        """
        numbers = self._numbers(study)
        return self._version(study, numbers[-1]) if numbers else None

    def studies(self) -> tuple[bytes, ...]:
        """The digests of the studies that gave something back, readable or not."""
        if not self._folder.is_dir():
            return ()
        names = sorted(path.name for path in self._folder.iterdir() if path.is_dir())
        found = [bytes.fromhex(name) for name in names if _DIGEST.fullmatch(name)]
        return tuple(study for study in found if self._numbers(study))

    def read(self, version: Version) -> Findings:
        """The findings of a version.

        Raises:
            InputError: the file was changed, cut off, or is another clinic's.
        """
        path = self._path(version.study, version.number)
        body = self._parts(path, ("head", "body"), *_place(version.study, version.number))["body"]
        return Findings.from_body(body)

    def keep_tuned(self, study: bytes, question: str, tuned: TunedFiles) -> None:
        """Keeps a tuned model in place of an earlier one.

        Raises:
            OurFault: it cannot be written.
        """
        names = sorted(tuned.files)
        told = {"findings": tuned.findings.hex(), "at": tuned.at.isoformat(), "files": names}
        parts = {"head": json.dumps(told).encode()} | {n: tuned.files[n] for n in names}
        self._write(self._tuned(study, question), parts, b"tuned", study, question.encode())

    def tuned(self, study: bytes, question: str) -> TunedFiles | None:
        """The tuned model of a question; None: there is none.

        Raises:
            InputError: the file was changed, cut off, or is another clinic's.
        """
        path, place = self._tuned(study, question), (b"tuned", study, question.encode())
        if not path.exists():
            return None
        told = json.loads(self._parts(path, ("head",), *place)["head"])
        parts = self._parts(path, ("head", *told["files"]), *place)
        files = {name: parts[name] for name in told["files"]}
        at = datetime.fromisoformat(told["at"])
        return TunedFiles(bytes.fromhex(told["findings"]), at, files)

    def _numbers(self, study: bytes) -> list[int]:
        folder = self._folder / study.hex()
        if not folder.is_dir():
            return []
        names = (_NUMBERED.fullmatch(path.name) for path in folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def _path(self, study: bytes, number: int) -> Path:
        return self._folder / study.hex() / f"{number:04}.sealed"

    def _tuned(self, study: bytes, question: str) -> Path:
        return self._folder / study.hex() / f"tuned-{question}.sealed"

    def _version(self, study: bytes, number: int) -> Version:
        path = self._path(study, number)
        told = json.loads(self._parts(path, ("head",), *_place(study, number))["head"])
        at = datetime.fromisoformat(told["at"])
        return Version(study, number, bytes.fromhex(told["findings"]), at)

    def _write(self, path: Path, parts: Mapping[str, bytes], *place: bytes) -> None:
        sealed = [self._seal.seal(data, *place, name.encode()) for name, data in parts.items()]
        try:
            for folder in (self._folder, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            PartsFile(path, _MARK).write(sealed)
        except OSError as error:
            raise OurFault(
                "what came back could not be kept",
                code="findings-not-kept",
                why=error.strerror or type(error).__name__,
                hint="free disk space or mend the disk; the server offers it again",
            ) from None

    def _parts(self, path: Path, names: tuple[str, ...], *place: bytes) -> dict[str, bytes]:
        try:
            sealed = PartsFile(path, _MARK).read(len(names))
            opened = zip(names, sealed, strict=True)
            return {n: self._seal.open(part, *place, n.encode()) for n, part in opened}
        except (ValueError, OSError) as error:
            raise InputError(
                f"{path} cannot be used",
                code="findings-damaged",
                why=str(error) if isinstance(error, ValueError) else error.strerror or "",
                hint="take the file away, and ask the research team to release the study again",
            ) from None


def _place(study: bytes, number: int) -> tuple[bytes, ...]:
    return b"returned", study, number.to_bytes(4, "big")
