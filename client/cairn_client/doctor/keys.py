"""`keys`: whether each key and certificate is whole, and where the sealing key comes from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cairn_client.clinic_folder import IDENTITY_BYTES, KEEPER
from cairn_client.doctor.finding import Finding, ok, problem, refused, unchecked, warning
from cairn_client.doctor.site import Site
from cairn_client.key_source import CREDENTIAL, has_tpm, key_source
from cairn_protocol.errors import InputError
from cairn_protocol.identity import PUBLIC_BYTES
from cairn_protocol.study import read_bounded

LARGEST_FILE: Final = 64 * 1024
SOON: Final = timedelta(days=30)
ANEW: Final = "remove the folder link/ and join again with a new token"
BACKUP: Final = "restore the clinic's backup of .cairn as a whole"


def keys(site: Site, *, answers: bool = False) -> Iterator[Finding]:
    """Identity, team, node key and authority.

    Args:
        answers: whether this clinic's keeper runs, so that it has its key from somewhere.
    """
    yield from _identity(site, answers=answers)
    if not site.joined:
        yield unchecked("keys.link", "the clinic has not joined: no server's keys yet")
        return
    yield _team(site.state / "team.pub")
    yield _node(site.link / "node.key")
    yield _authority(site.link / "ca.pem")


def _identity(site: Site, *, answers: bool) -> Iterator[Finding]:
    try:
        source = key_source(site.state)
        if source is None:
            yield _no_key(site, answers=answers)
            return
        size = len(read_bounded(source.path, IDENTITY_BYTES))
    except InputError as error:
        yield _unread(error, "keys.identity")
        return
    except OSError:
        yield unchecked("keys.identity", "only the keeper's user may read the identity key")
        return
    if size != IDENTITY_BYTES:
        yield problem(
            "input.identity-damaged",
            "the identity key is damaged",
            why=f"it has {size} bytes, not {IDENTITY_BYTES}",
            remedy=BACKUP,
        )
        return
    yield ok("keys.identity", "the identity key is whole")
    if source.kind == "credential":
        yield ok("keys.source", f"the sealing key comes from the service's credential {CREDENTIAL}")
    elif site.config.data == "patients":
        better = "sealed to this machine's TPM" if has_tpm() else "encrypted for this machine"
        yield warning(
            "keys.source",
            f"the sealing key is derived from a key file on this disk, {source.path.name}",
            why="whoever copies the whole disk has the key with what it seals",
            remedy=f"encrypt the disk, or give the keeper its key as a credential, {better}: "
            "docs/clinic-service.md",
        )
    else:
        yield ok("keys.source", f"the sealing key is derived from the key file {source.path.name}")


def _no_key(site: Site, *, answers: bool) -> Finding:
    if answers:
        return ok("keys.source", f"the keeper has its key as the service's credential {CREDENTIAL}")
    if (site.state / KEEPER).exists():
        return problem(
            "input.identity-missing",
            "the identity key is not there",
            why="a keeper has run here; as a service's credential the key shows only while it runs",
            remedy=f"start the keeper's service; if the key was lost, {BACKUP}",
        )
    return unchecked("keys.identity", "no key was made yet; `cairn clinic init` makes it")


def _team(file: Path) -> Finding:
    try:
        size = len(read_bounded(file, PUBLIC_BYTES))
    except InputError as error:
        return _unread(error, "keys.team")
    if size == PUBLIC_BYTES:
        return ok("keys.team", "the research team's key is pinned")
    return problem(
        "input.team-key-damaged",
        "the research team's key is damaged",
        why=f"it has {size} bytes, not {PUBLIC_BYTES}",
        remedy="remove .cairn/team.pub and join again with a new token",
    )


def _node(file: Path) -> Finding:
    try:
        key = load_pem_private_key(read_bounded(file, LARGEST_FILE), password=None)
    except InputError as error:
        return _unread(error, "keys.node")
    except (ValueError, TypeError):
        key = None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ok("keys.node", "the link's key is whole")
    return problem("input.node-key-damaged", "the link's key is damaged", remedy=ANEW)


def _authority(file: Path) -> Finding:
    try:
        held = x509.load_pem_x509_certificate(read_bounded(file, LARGEST_FILE))
    except InputError as error:
        return _unread(error, "keys.authority")
    except ValueError:
        return problem(
            "keys.authority-damaged", "the authority's certificate cannot be read", remedy=ANEW
        )
    ends, now = held.not_valid_after_utc, datetime.now(UTC)
    if now >= ends:
        return problem(
            "keys.authority-expired",
            "the server's certificate authority has expired",
            why=f"on {ends:%Y-%m-%d}; this machine's clock says {now:%Y-%m-%d}",
            remedy="if the clock is right, ask the research team for a new token and join again",
        )
    if now + SOON >= ends:
        return warning(
            "keys.authority-ends",
            f"the server's certificate authority ends on {ends:%Y-%m-%d}",
            remedy="ask the research team what comes after it",
        )
    return ok("keys.authority", f"the server's authority is valid until {ends:%Y-%m-%d}")


def _unread(error: InputError, code: str) -> Finding:
    """A file that only another user may read is no fault of the clinic's."""
    if isinstance(error.__cause__ or error.__context__, PermissionError):
        return unchecked(code, "only the user that it belongs to may read it")
    return refused(error)
