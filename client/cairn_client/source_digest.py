"""`source_digest`: one name for the files that an import reads."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from cairn_client.readers import MAPPING_FILE, ClinicMapping
from cairn_client.readers.fhir.files import ExportFolder
from cairn_client.readers.within import unreadable, within

_BLOCK: Final = 1 << 20  # bytes read at once


def source_digest(folder: Path) -> bytes:
    """SHA-256 of mapping.toml and of the files that it has the readers open, each with its name.

    A database has no file: what it held shows in the digest of the records only.

    Raises:
        InputError: the mapping cannot be used, or a file as the readers refuse it.
    """
    mapping = ClinicMapping.parse(folder)
    names = {table.file for table in mapping.tables().values()}
    read = [(within(folder, name), name) for name in sorted(names)]
    if mapping.fhir is not None:
        export = ExportFolder(folder, mapping.fhir.folder).files()
        read += [(file.path, file.shown) for file in export]
    root, total = folder.resolve(), hashlib.sha256()
    for path, shown in [(root / MAPPING_FILE, MAPPING_FILE), *read]:
        # As bytes: what a system takes as a name need not be text.
        name = os.fsencode(os.path.relpath(path, root))
        total.update(hashlib.sha256(name).digest())
        total.update(_of_file(path, shown))
    return total.digest()


def _of_file(path: Path, shown: str) -> bytes:
    content = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                content.update(block)
    except OSError as error:
        raise unreadable(shown, error) from None
    return content.digest()
