"""A study file as text: its ε's set with every comment kept, and written without overwriting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cairn_protocol.errors import InputError


def with_epsilons(source: bytes, epsilons: Mapping[str, float], *, where: str) -> bytes:
    """The study file with these ε's, by question; every comment and line else stays as it is.

    Raises:
        InputError: the file is no TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(source.decode("utf-8"))
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise InputError(f"{where} is not valid TOML", code="not-toml", why=str(error)) from None
    for question in document["questions"]:
        if question["name"] in epsilons:
            question["epsilon"] = epsilons[question["name"]]
    return tomlkit.dumps(document).encode("utf-8")


def write_new(path: Path, source: bytes) -> None:
    """Write `source` to a file that must not exist yet.

    Raises:
        InputError: it exists, or cannot be written.
    """
    try:
        with path.open("xb") as file:
            file.write(source)
    except FileExistsError:
        raise InputError(
            f"{path} exists already", code="file-exists", hint="choose another name"
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot write {path}",
            code="file-unwritable",
            why=error.strerror or str(error),
            hint="check the path and its permissions",
        ) from None
