"""`cairn members …`: for a registry that vouches for clinics: an ethics board, a consortium."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cairn_app.keeper_calls import AsJson
from cairn_protocol.errors import InputError

if TYPE_CHECKING:
    from cairn_protocol.identity import Identity

KEY_BYTES = 32
members_app = typer.Typer(
    no_args_is_help=True, help="A registry's side: vouch for clinics with a signed list."
)


@members_app.command("key")
def members_key(
    file: Annotated[Path, typer.Argument(help="The registry's key; made if there is none.")],
    as_json: AsJson = False,
) -> None:
    """Make the registry's signing key, and print the fingerprint that clinics compare."""
    from cairn_protocol.identity import Identity

    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(Identity.generate().private_bytes())
            stream.flush()
            os.fsync(stream.fileno())
    fingerprint = _key(file).fingerprint
    if as_json:
        print(json.dumps({"fingerprint": fingerprint}))
        return
    print(f"The registry's fingerprint is {fingerprint}")
    print(f"Whoever has {file} can vouch for clinics in its name: keep it where nobody else reads.")


@members_app.command("sign")
def members_sign(
    file: Annotated[Path, typer.Argument(metavar="LIST.toml", help="Names and fingerprints.")],
    key: Annotated[Path, typer.Option("--key", help="The registry's key.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The signed list; left out: beside the file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign a list of clinics, for their people to take in with `cairn clinic verify --list`."""
    from cairn_protocol.member_list import LARGEST_LIST_FILE, MemberList, MemberListFile
    from cairn_protocol.study import read_bounded

    written = MemberListFile.parse(read_bounded(file, LARGEST_LIST_FILE), str(file))
    signed = MemberList.sign(_key(key), written.registry, written.issue, written.members)
    where = out or file.with_suffix(".members")
    where.write_text(signed.to_text(), encoding="ascii")
    if as_json:
        print(json.dumps({"file": str(where), "fingerprint": signed.registry_fingerprint}))
        return
    print(f"Signed list {signed.issue} of {signed.registry}: {len(signed.members)} clinics")
    print(f"  {where}")
    print(
        "\nNext\n"
        "  tell each clinic by telephone    "
        f"{signed.registry_fingerprint}\n"
        "  there, once                      cairn clinic registry pin FINGERPRINT FILE\n"
        "  there, for every list            cairn clinic verify --list FILE"
    )


def _key(file: Path) -> Identity:
    from cairn_protocol.identity import Identity
    from cairn_protocol.study import read_bounded

    key = read_bounded(file, KEY_BYTES)
    if len(key) != KEY_BYTES:
        raise InputError(
            f"{file} is not a registry's key",
            code="registry-key",
            why=f"it holds {len(key)} bytes, not {KEY_BYTES}",
            hint="`cairn members key FILE` makes one",
        )
    return Identity.from_private_bytes(key)
