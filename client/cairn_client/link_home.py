"""`LinkHome`: all that a link's process reads from disk: addresses and transport keys.

`cairn_client.enrolment` writes these files. They are read here again, so that the link's process
loads nothing that reads records.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

from cairn_protocol.errors import InputError
from cairn_protocol.study import parse_toml, read_bounded

LARGEST_FILE: Final = 64 * 1024


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    fleet: str = Field(pattern=r"^https://")


@dataclass(frozen=True)
class LinkHome:
    """Where the server is, whom to trust, and the node's private key. Its repr shows no key."""

    fleet: str
    authority: bytes
    key: bytes

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The link's files in `folder`.

        Raises:
            InputError: the clinic has not joined, or a file cannot be read.
        """
        file = folder / "link.toml"
        if folder.is_dir() and not file.exists():
            raise InputError(
                "this clinic has not joined a research team's server",
                code="not-joined",
                hint="ask the team for a token, then: cairn clinic join",
            )
        config = parse_toml(
            _Config,
            read_bounded(file, LARGEST_FILE),
            where=str(file),
            page="docs/between-machines.md",
        )
        authority = read_bounded(folder / "ca.pem", LARGEST_FILE)
        return cls(config.fleet, authority, read_bounded(folder / "node.key", LARGEST_FILE))

    def __repr__(self) -> str:
        return f"LinkHome({self.fleet})"


def forget_registration(clinic: Path) -> tuple[list[str], list[str]]:
    """Removes a link's addresses, trust and key, which `join` made; (removed, still there).

    What another user owns is still there. Nothing of the clinic's records, identity or ledger lies
    in that folder.
    """
    gone, there = [], []
    for name in ("link.toml", "ca.pem", "node.key"):
        file = clinic / "link" / name
        try:
            file.unlink()
        except FileNotFoundError:
            continue
        except OSError:
            there.append(str(file))
        else:
            gone.append(str(file))
    return gone, there
