"""`policy`: whether the keeper can use the clinic's policy.toml; without, it answers no study."""

from __future__ import annotations

import pwd
from collections.abc import Iterator

from cairn_client.clinic_policy import FILE, ClinicPolicy
from cairn_client.doctor.finding import Finding, ok, problem, refused, unchecked
from cairn_client.doctor.site import Site
from cairn_protocol.errors import InputError


def policy(site: Site) -> Iterator[Finding]:
    """The file, as the keeper would read it."""
    try:
        found = ClinicPolicy.read(site.path, site.config)
    except InputError as error:
        if isinstance(error.__context__, PermissionError):
            yield unchecked("policy.file", f"only the keeper's user may read {FILE}")
        else:
            yield refused(error)
        return
    if (owner := _stranger(site)) is not None:
        yield problem(
            "policy.owner",
            f"{FILE} does not belong to {owner}, as whom the keeper runs",
            why="the keeper may not be able to read it, and then answers nothing",
            remedy=f"chown {owner} {site.path / FILE} && chmod 600 {site.path / FILE}",
        )
    set_here = sorted(found.model_fields_set)
    yield ok("policy.file", f"{FILE} sets {', '.join(set_here) or 'nothing'}")


def _stranger(site: Site) -> str | None:
    """To whom the file should belong and does not; None: all is well, or it cannot be seen."""
    try:
        there, keeper = (site.path / FILE).stat().st_uid, site.state.stat().st_uid
    except OSError:
        return None
    if there == keeper:
        return None
    try:
        return pwd.getpwuid(keeper).pw_name
    except KeyError:
        return str(keeper)
