"""What a clinic checks before it agrees on keys: packages, marks, notes.  # SPEC 12"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cairn_protocol.codec import refuse
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.identity import verify
from cairn_protocol.keys import encapsulates
from cairn_protocol.mark import NO_HEAD, Mark
from cairn_protocol.roster import Roster
from cairn_protocol.setup_messages import Confirmation, KeyPackage, Note, OpenRun, Packages


def check_packages(
    packages: Packages, opening: OpenRun, roster: Roster, own: KeyPackage, *, least: int
) -> None:
    """Refuses packages that are not at least `least` clinics' own answers to `opening`.

    Args:
        own: the package that this clinic made.

    Raises:
        PeerFault: R5 or R6 is broken.
    """
    if packages.run != opening.run:
        refuse("run-foreign", "the key packages are of another run")
    here = packages.participants
    if len(here) < least or here[-1] >= len(roster) or own.clinic not in here:  # R5
        refuse("packages-incomplete", "the key packages are not those of enough of the roster")
    for package in packages.packages:
        check_package(package, opening, roster)
    if packages.packages[here.index(own.clinic)] != own:  # R6
        refuse("package-substituted", "this clinic's own key package was exchanged")
    keys = [key for p in packages.packages for key in (p.x25519, p.mlkem)]
    if len(set(keys)) != len(keys):
        refuse("key-shared", "two clinics sent the same key")


def check_package(package: KeyPackage, opening: OpenRun, roster: Roster) -> None:
    """Refuses a package that is not its clinic's own answer to `opening`.

    Raises:
        PeerFault: foreign or forged.
    """
    entry = roster.entries[package.clinic]
    if package.run != opening.run or package.opening != opening.digest:
        refuse("package-foreign", "a key package answers another opening of the run")
    if not verify(entry.identity, "key package", package.signed, package.signature):
        refuse("package-forged", f"the key package of {entry.clinic} is not signed by it")
    if package.mark.identity != entry.identity or not package.mark.genuine():
        refuse("mark-forged", f"the mark in the key package of {entry.clinic} is not its own")


def check_peers(packages: Packages, roster: Roster, own: int, seen: Mapping[bytes, Mark]) -> None:
    """Refuses a peer that stands behind the newest mark of it that this clinic has kept.

    Raises:
        PeerFault: R14 is broken.
    """
    for package in packages.packages:
        if package.clinic != own:
            check_mark_follows(package.mark, roster.entries[package.clinic].clinic, seen)


def check_mark_follows(mark: Mark, name: str, seen: Mapping[bytes, Mark]) -> None:
    """Refuses the mark of the clinic called `name` if it stands behind that in `seen`, by identity.

    Raises:
        PeerFault: R14 is broken.
    """
    earlier = seen.get(mark.identity)
    if earlier is None or mark.follows(earlier):  # R14
        return
    refuse(
        "peer-set-back",
        f"{name} shows an older state than was seen of it",
        why="it was restored from a backup, two machines hold its identity, or what it sent before "
        "it was last started came late",
        hint=f"tell the research team and {name}; nothing was computed",
    )


def check_confirmation(
    reply: Confirmation,
    participants: tuple[int, ...],
    roster: Roster,
    t1: bytes,
    genuine: set[Mark],
) -> None:
    """Refuses notes that are not one to each other participant, or that one would have to refuse.

    Args:
        genuine: marks whose signatures hold; grows by those that were looked at. Most clinics
            show the same one of a clinic.

    Raises:
        PeerFault: the receiver of a note would find R7 broken, or the mark in it forged.
    """
    entry = roster.entries[reply.clinic]
    if reply.t1 != t1:
        refuse("t1-differs", f"{entry.clinic} confirmed other keys")
    if [note.receiver for note in reply.notes] != [c for c in participants if c != reply.clinic]:
        refuse("unconfirmed", f"{entry.clinic} did not write to every clinic")
    for note in reply.notes:
        if not note.genuine(entry.identity, reply.run, t1):
            refuse("note-forged", f"{entry.clinic} did not sign its notes")
        if bool(note.ciphertext) != encapsulates(reply.clinic, note.receiver):
            refuse("ciphertext", f"a note of {entry.clinic} does not hold what it should")
        for mark in note.witness:
            theirs = mark.identity == roster.entries[note.receiver].identity
            if not theirs or not (mark in genuine or mark.genuine()):
                refuse("mark-forged", f"{entry.clinic} shows a clinic a mark that is not its own")
            genuine.add(mark)


def check_notes(
    notes: tuple[Note, ...], packages: Packages, roster: Roster, own: int
) -> dict[int, bytes]:
    """The ciphertext of every other participant (empty: none), by clinic.

    Raises:
        PeerFault: R7 is broken.
    """
    if [note.sender for note in notes] != [c for c in packages.participants if c != own]:  # R7
        refuse("unconfirmed", "not every clinic has confirmed the keys")
    t1 = packages.t1
    for note in notes:
        entry = roster.entries[note.sender]
        if note.receiver != own or not note.genuine(entry.identity, packages.run, t1):
            refuse(
                "note-forged",
                f"{entry.clinic} did not confirm these keys to this clinic",
                why="the server may have shown it others",
            )
    return {note.sender: note.ciphertext for note in notes}


def check_own_marks(notes: tuple[Note, ...], own: Mark, contains: Callable[[bytes], bool]) -> None:
    """Refuses to go on where a peer remembers this clinic further than it remembers itself.

    Args:
        own: what this clinic's key package said.
        contains: whether this clinic's ledger holds a head.

    Raises:
        PeerFault: a mark is not this clinic's.
        PolicyRefusal: R15 is broken.
    """
    for witness in (mark for note in notes for mark in note.witness):
        if witness.identity != own.identity or not witness.genuine():
            refuse("mark-forged", "a note shows a mark that this clinic did not sign")
        known = witness.ledger_head in (NO_HEAD, own.ledger_head)
        if not own.follows(witness) or not (known or contains(witness.ledger_head)):  # R15
            raise PolicyRefusal(
                "this clinic's state is older than what other clinics have seen of it",
                code="set-back",
                why="a backup was restored, or another machine holds this clinic's identity",
                hint="stop the other machine; if a backup was restored, "
                "`cairn clinic ledger restore` takes it up again",
            )
