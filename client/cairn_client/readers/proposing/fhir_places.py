"""`fhir_in`: where in a clinic's folder a FHIR export lies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cairn_client.readers.fhir.files import ExportFile
from cairn_client.readers.fhir.parsing import parsed
from cairn_protocol.errors import InputError

_ENDS: Final = (".ndjson", ".jsonl", ".json")
_NOT_EXPORTS: Final = frozenset({"run", "link"})  # folders that Cairn makes in a clinic's
MOST_TRIED: Final = 20  # files of a folder of which the beginning is looked at


def fhir_in(folder: Path, only: str | None = None) -> str | None:
    """The export's folder or file within `folder`, as mapping.toml names it; None: there is none.

    Raises:
        InputError: several folders hold FHIR files.
    """
    if only is not None:
        return only if _ends(Path(only)) and _is_fhir(folder / only) else None
    try:
        entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        return None
    top = [p for p in entries if p.is_file() and _ends(p)][:MOST_TRIED]
    places = ["."] if any(map(_is_fhir, top)) else []
    for below in entries:
        if below.is_dir() and below.name not in _NOT_EXPORTS:
            inside = sorted(p for p in below.rglob("*") if p.is_file() and _ends(p))[:MOST_TRIED]
            if any(map(_is_fhir, inside)):
                places.append(below.name)
    if len(places) > 1:
        raise InputError(
            "FHIR files lie in several places of the clinic's folder",
            code="exports-apart",
            why=", ".join("the folder itself" if p == "." else p for p in places),
            hint="put one export into one folder, such as fhir/, or give one of its files",
        )
    return places[0] if places else None


def _ends(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(_ENDS)


def _is_fhir(path: Path) -> bool:
    """Whether the file's first resource is one, or an entry of a Bundle."""
    try:
        _, data = next(ExportFile(path, path.name).resources())
    except (InputError, StopIteration):
        return False
    found = parsed(data)
    return isinstance(found, dict) and ("resourceType" in found or "resource" in found)
