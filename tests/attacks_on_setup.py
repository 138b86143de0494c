"""Substituted keys and rosters, restored and copied machines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attacks import STRANGER, VECTORS, attack, three
from cairn_protocol import admission, setup_checks
from cairn_protocol.keys import KeyPair
from cairn_protocol.mark import Mark
from cairn_protocol.masks import pair_sign
from cairn_protocol.messages import Note, Packages
from cairn_protocol.roots import Agreement
from cairn_protocol.roster import Roster, SignedRoster
from lying_server import LyingServer


@attack(
    "key substitution",
    "peer.package-forged",
    (
        setup_checks.check_package,
        'not verify(entry.identity, "key package", package.signed, package.signature)',
        "False",
    ),
    (
        setup_checks.check_notes,
        "note.receiver != own or not note.genuine(entry.identity, packages.run, t1)",
        "False",
    ),
)
def a_server_between_a_clinic_and_all_others(federate):
    federation = federate(3).opened()
    real = federation.server.packages().packages
    pairs = {clinic: KeyPair.generate() for clinic in (1, 2)}
    packages = Packages(
        real[0].run,
        (
            real[0],
            *(replace(real[c], x25519=p.x25519, mlkem=p.mlkem) for c, p in pairs.items()),
        ),
    )
    run = federation.runs[0]
    sent = {note.receiver: note.ciphertext for note in run.confirm(packages, {}).notes}
    notes, roots = [], {}
    for clinic, pair in pairs.items():
        greeted = Agreement(clinic, pair).greet(packages)
        forth = greeted.ciphertexts
        third = 3 - clinic
        roots[clinic] = greeted.finish({0: sent[clinic], third: _for_third(pairs, clinic, forth)})
        notes.append(Note(clinic, 0, forth.get(0, b""), (), bytes(64)))
    context = federation.context(length=4)
    request = federation.forge_request(context, packages.t1, notes)
    upload = federation.upload(0, request, context, VECTORS[3])
    server = LyingServer.__new__(LyingServer)
    server.context, server.uploads = context, {0: upload}
    header = request.header.digest
    streams = [(r.seed(0, header), -pair_sign(0, clinic)) for clinic, r in roots.items()]
    return server.bare((0,), streams) == VECTORS[3]


def _for_third(pairs, clinic: int, forth) -> bytes:
    """Between its two invented clinics the server needs no right ciphertext, only one of a size."""
    return b"" if 3 - clinic in forth else bytes(1088)


@attack(
    "key substitution",
    "peer.note-forged",
    (Note.signed, "run + t1 +", "run +"),
)
def two_packages_of_a_clinic_shown_to_two_others(federate):
    federation = federate(3).opened()
    real = federation.server.packages()
    twin, other = federation.open(2)
    views = [real, replace(real, packages=(*real.packages[:2], other))]
    notes = [
        *federation.runs[1].confirm(views[1], {}).notes,
        *twin.confirm(views[1], {}).notes,
    ]
    federation.runs[0].confirm(views[0], {})
    context = federation.context()
    mine = [note for note in notes if note.receiver == 0]
    request = federation.forge_request(context, views[0].t1, mine)
    return federation.upload(0, request, context, np.arange(5)).clinic == 0


@attack(
    "key substitution",
    "peer.unconfirmed",
    (
        setup_checks.check_notes,
        "[note.sender for note in notes] != [c for c in packages.participants if c != own]",
        "False",
    ),
)
def keys_that_a_clinic_never_confirmed(federate):
    federation = three(federate)
    context = federation.context()
    request = federation.requests(context)[0]
    silent = replace(request, notes=request.notes[1:])
    return federation.upload(0, silent, context, np.arange(5)).clinic == 0


@attack(
    "roster substitution",
    "peer.roster-fork",
    (
        admission.check_opening,
        "pinned_roster is not None and roster.digest != pinned_roster",
        "False",
    ),
)
def a_roster_with_a_sybil_in_a_clinics_place(federate):
    federation = federate(3)
    names = {entry.clinic: entry.identity for entry in federation.roster.entries}
    names["clinic-002"] = STRANGER.public
    roster = SignedRoster.sign(Roster.first(federation.signed, names), federation.team)
    pinned = federation.roster.digest
    _, package = federation.open(
        0, replace(federation.opening, roster=roster), pinned_roster=pinned
    )
    return package.clinic == 0


@attack(
    "roster substitution",
    "peer.roster-forged",
    (SignedRoster.verified, "not verify(", "False and not verify("),
)
def a_roster_that_the_team_did_not_sign(federate):
    federation = federate(3)
    roster = SignedRoster.sign(federation.roster, STRANGER)
    _, package = federation.open(0, replace(federation.opening, roster=roster))
    return package.clinic == 0


@attack(
    "roster substitution",
    "policy.study-not-approved",
    (admission.check_opening, "study.digest != approved_digest", "False"),
)
def a_study_that_nobody_approved(federate):
    _, package = federate(3).open(0, approved_digest=bytes(32))
    return package.clinic == 0


@attack(
    "restored machine",
    "peer.peer-set-back",
    (Mark.follows, "return self.epoch > earlier.epoch", "return True"),
)
def a_peer_that_was_restored_from_a_backup(federate):
    federation = federate(3).opened()
    seen = {federation.identities[1].public: federation.mark(1, epoch=5)}
    reply = federation.runs[0].confirm(federation.server.packages(), seen)
    return reply.clinic == 0


@attack(
    "restored machine",
    "peer.peer-set-back",
    (Mark.follows, "return self.boot == earlier.boot", "return True"),
)
def a_peer_of_whom_there_are_two(federate):
    federation = federate(3).opened()
    seen = {federation.identities[1].public: federation.mark(1, boot=b"c")}
    reply = federation.runs[0].confirm(federation.server.packages(), seen)
    return reply.clinic == 0


@attack(
    "restored machine",
    "policy.set-back",
    (
        setup_checks.check_own_marks,
        "not own.follows(witness) or not (known or contains(witness.ledger_head))",
        "False",
    ),
)
def a_ledger_that_was_restored_from_a_backup(federate):
    federation = federate(3).opened()
    packages = federation.server.packages()
    seen = {federation.identities[0].public: federation.mark(0, head=b"h" * 32)}
    for clinic, run in enumerate(federation.runs):
        federation.server.receive(clinic, run.confirm(packages, seen if clinic else {}))
    request = federation.requests(federation.context())[0]
    header = federation.runs[0].accept(request, federation.context(), lambda head: False)
    return header == request.header
