"""What every command of a clinic's people needs: their keeper, its replies as JSON, the folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from cairn_client.clinic_config import ClinicConfig
    from cairn_client.keeper_client import KeeperClient

Folder = Annotated[Path, typer.Option("--folder", help="The clinic's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Person = Annotated[
    str,
    typer.Option(
        "--person", help="Who decides: your account; without accounts your name, or your user name."
    ),
]


def keeper_at(folder: Path) -> KeeperClient:
    """The keeper of the clinic in `folder`; nothing is called yet."""
    from cairn_client.keeper_client import KeeperClient
    from cairn_client.sockets import Sockets

    config_of(folder)
    return KeeperClient(Sockets(folder).admin)


def config_of(folder: Path) -> ClinicConfig:
    """The clinic's configuration.

    Raises:
        InputError: the folder is no clinic's.
    """
    from cairn_client.clinic_config import ClinicConfig

    return ClinicConfig.read(folder)


def json_of(message: Message) -> str:
    """A keeper's reply in one line."""
    from google.protobuf.json_format import MessageToJson

    return str(MessageToJson(message, preserving_proto_field_name=True, indent=None))


def at(folder: Path) -> str:
    """How the folder is named in a command that is suggested."""
    return "" if folder == Path() else f" --folder {folder}"
