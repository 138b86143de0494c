"""The life of a study on the server, as its state in the store.

    signed → offered → starting → running → finished | stopped

Commands move it as far as `starting`; the server does the rest (`cairn_server.service`). A study
is named by its name or by the first characters of its digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from cairn_protocol import code_version
from cairn_protocol.errors import InputError
from cairn_protocol.groups import check_named
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server.home import ServerHome
from cairn_server.planning import plan_study
from cairn_server.store import Store
from cairn_server.store_tables import Clinic, StoredStudy

SHORTEST_DIGEST: Final = 6  # hex characters that may stand for a digest


def sign(home: ServerHome, store: Store, study: Study) -> StoredStudy:
    """`study` signed by the team and kept; whether it can and should be asked is checked first.

    Raises:
        InputError: the study names a version of Cairn that this server has not.
        CairnError: a question, a setting or the policy cannot be asked.
        PolicyRefusal: noise would swamp an answer, and the study does not insist (`planning`).
    """
    check_code(study, version("cairn-federated"))
    plan_study(study).check()
    signed = SignedStudy.sign(study, home.team())
    return store.add_study(
        StoredStudy(signed.digest, study.name, signed.body, b"", "signed", datetime.now(UTC))
    )


def check_code(study: Study, here: str) -> None:
    """Refuses a study that names another version than `here`: clinics with that one would have to
    compute what this server plans and sums.

    Raises:
        InputError: `input.code-version`.
    """
    if not code_version.accepts(study.code, here):
        raise InputError(
            f"the study wants Cairn {code_version.words(study.code)}, this server has {here}",
            code="code-version",
            hint="install that version here, or name this one in the study's `code`",
        )


def offer(
    home: ServerHome, store: Store, study: StoredStudy, names: Sequence[str] = ()
) -> SignedRoster:
    """The signed roster under which the study is offered from now on.

    Args:
        names: clinics that shall take part; all that are enrolled unless said.

    Raises:
        InputError: an unknown or revoked clinic, or their number is not the policy's.
    """
    if study.state not in ("signed", "offered"):
        raise InputError(
            f"study {study.name!r} is {study.state} and cannot be offered again",
            code="study-state",
            hint="sign a new study",
        )
    enrolled = {c.name: c for c in store.clinics() if c.state == "enrolled"}
    chosen = names or tuple(enrolled)
    if unknown := sorted(set(chosen) - set(enrolled)):
        raise InputError(
            f"{', '.join(unknown)} cannot take part",
            code="clinic-unknown",
            why="no enrolled clinic has that name",
            hint="`cairn server roster` lists the clinics",
        )
    policy = parsed(study).policy
    count = len(set(chosen))
    if (parsed(study).noised or policy.recovers) and count != policy.clinics:
        raise InputError(
            f"the study is planned for {policy.clinics} clinics, {count} would take part",
            code="clinic-count",
            hint="name the clinics with --clinic, enrol the missing ones, or plan another number",
        )
    check_named(parsed(study).groups, chosen)
    signed = SignedStudy.from_body(study.signed)
    keys = {name: enrolled[name].identity for name in chosen}
    roster = SignedRoster.sign(Roster.first(signed, keys), home.team())
    store.set_study(study.digest, state="offered", roster=roster.body)
    return roster


def start(store: Store, study: StoredStudy) -> None:
    """Ask the server to run the study.

    Raises:
        InputError: it was not offered, or a clinic has not approved it.
    """
    if study.state != "offered":
        raise InputError(
            f"study {study.name!r} is {study.state}",
            code="study-state",
            hint="offer it first" if study.state == "signed" else "a study runs once",
        )
    if waiting := [said for said in approvals(store, study) if said[1] != "approved"]:
        raise InputError(
            f"{', '.join(name for name, _ in waiting)} did not approve the study",
            code="study-unapproved",
            why=", ".join(f"{name}: {state}" for name, state in waiting),
            hint="each clinic decides for itself: `cairn clinic approve`, on its own machine",
        )
    store.set_study(study.digest, state="starting")


def approvals(store: Store, study: StoredStudy) -> tuple[tuple[str, str], ...]:
    """Each clinic on the study's roster with its last word; "no answer yet" before it has one."""
    if not study.roster:
        return ()
    said = {s.clinic: s.state for s in store.standings(study.digest)}
    entries = SignedRoster.from_body(study.roster).roster.entries
    return tuple((e.clinic, said.get(e.clinic, "no answer yet")) for e in entries)


def nodes(store: Store, roster: Roster, *, even_revoked: bool = False) -> list[int]:
    """Flower's node of each clinic on the roster, in its order.

    Args:
        even_revoked: a revoked clinic is given too; Flower hands it nothing.

    Raises:
        InputError: a clinic was revoked, or is not known at all.
    """
    found = []
    for entry in roster.entries:
        clinic: Clinic | None = store.clinic_of(entry.identity)
        if clinic is None or (clinic.state != "enrolled" and not even_revoked):
            raise _revoked(entry.clinic)
        found.append(clinic.node)
    return found


def revoked(store: Store, roster: Roster) -> dict[int, InputError]:
    """Clinics on the roster that were revoked, by index, each with what to say of it."""
    found = {}
    for index, entry in enumerate(roster.entries):
        clinic = store.clinic_of(entry.identity)
        if clinic is None or clinic.state != "enrolled":
            found[index] = _revoked(entry.clinic)
    return found


def _revoked(name: str) -> InputError:
    return InputError(
        f"{name} was revoked and cannot take part",
        code="clinic-revoked",
        hint="sign and offer a new study to the others",
    )


def find(store: Store, named: str) -> StoredStudy:
    """The newest study with this name, or the one whose digest begins so.

    Raises:
        InputError: none, or several digests begin so.
    """
    studies = store.studies()
    by_name = [s for s in studies if s.name == named]
    if by_name:
        return by_name[-1]
    by_digest = [s for s in studies if s.digest.hex().startswith(named.lower())]
    long_enough = len(named) >= SHORTEST_DIGEST
    if long_enough and len(by_digest) == 1:
        return by_digest[0]
    several = long_enough and by_digest
    raise InputError(
        f"{named!r} names several studies" if several else f"no study is called {named!r}",
        code="study-unknown",
        hint="known: "
        + (", ".join(sorted({s.name for s in studies})) or "none yet")
        + "; make one known with `cairn study sign FILE`, or give at least "
        f"{SHORTEST_DIGEST} characters of a digest",
    )


def parsed(study: StoredStudy) -> Study:
    """The study's file."""
    return SignedStudy.from_body(study.signed).study()
