"""`may_import`: whether this user can import by themselves, or has to ask the keeper."""

from __future__ import annotations

import os
from pathlib import Path

from cairn_client.clinic_folder import KEEPER
from cairn_client.key_source import key_source


def may_import(folder: Path, *, dry_run: bool = False) -> bool:
    """Whether this process may write the clinic's .cairn folder and has the clinic's key.

    Somebody else asks the keeper: who may only enter the folder of admin.sock, and everybody where
    the key is a credential of the keeper's service.
    """
    state = folder / ".cairn"
    if not state.exists():
        return dry_run or os.access(folder, os.W_OK | os.X_OK)
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        return False
    return key_source(state) is not None or not (state / KEEPER).exists()
