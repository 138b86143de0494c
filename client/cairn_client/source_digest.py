"""`source_digest`: one name for the files that an import reads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from cairn_client.readers import MAPPING_FILE, ClinicMapping

_BLOCK: Final = 1 << 20  # bytes read at once


def source_digest(folder: Path) -> bytes:
    """SHA-256 of mapping.toml and of the files and folders that it names, each with its name.

    A database has no file: what it held shows in the digest of the records only.

    Raises:
        InputError: the mapping cannot be used.
    """
    mapping = ClinicMapping.parse(folder)
    names = {table.file for table in mapping.tables().values()}
    if mapping.fhir is not None:
        names.add(mapping.fhir.folder)
    total = hashlib.sha256()
    for name in [MAPPING_FILE, *sorted(names)]:
        path = folder / name
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in (f for f in below if f.is_file()):
            total.update(hashlib.sha256(str(file.relative_to(folder)).encode()).digest())
            total.update(_of_file(file))
    return total.digest()


def _of_file(path: Path) -> bytes:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            content.update(block)
    return content.digest()
