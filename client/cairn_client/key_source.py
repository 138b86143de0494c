"""`key_source`: where the clinic's identity key comes from, from which its sealing key is derived.

    credential  systemd hands it to the keeper's unit in memory (LoadCredential, or
                LoadCredentialEncrypted under the machine's TPM); no other process of the keeper's
                user finds it on disk
    file        .cairn/identity.key, 0600, in plain on the disk

The credential goes before the file. Both at once are refused unless they are the same key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cairn_protocol.errors import InputError

CREDENTIAL: Final = "cairn-identity"
KEY_FILE: Final = "identity.key"
TPM_DEVICES: Final = (Path("/dev/tpmrm0"), Path("/sys/class/tpm/tpm0"))


@dataclass(frozen=True)
class KeySource:
    """Where the key is read. No key is in it."""

    kind: Literal["credential", "file"]
    path: Path


def key_source(state: Path) -> KeySource | None:
    """Where the key of the clinic whose .cairn folder is `state` comes from; None: it has none.

    Raises:
        InputError: `input.identity-twice`: a credential and a file that differ.
    """
    file = state / KEY_FILE
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    credential = Path(folder) / CREDENTIAL
    if not folder or not credential.is_file():
        return KeySource("file", file) if file.is_file() else None
    if file.is_file() and file.read_bytes() != credential.read_bytes():
        raise InputError(
            "this clinic has two identity keys",
            code="identity-twice",
            why=f"the service's credential {CREDENTIAL} is another than {file}",
            hint="keep the one that the research team enrolled, and take the other away",
        )
    return KeySource("credential", credential)


def has_tpm() -> bool:
    """Whether this machine has a TPM that could hold the key's key."""
    return any(device.exists() for device in TPM_DEVICES)
