"""`policy`: whether the keeper can use the clinic's policy.toml; without, it answers no study."""

from __future__ import annotations

from collections.abc import Iterator

from cairn_client.clinic_policy import FILE, ClinicPolicy
from cairn_client.doctor.finding import Finding, ok, refused, unchecked
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
    set_here = sorted(found.model_fields_set)
    yield ok("policy.file", f"{FILE} sets {', '.join(set_here) or 'nothing'}")
