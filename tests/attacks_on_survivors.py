"""Lies about who survived: split views, tiny cohorts, sybils, late uploads, old shares."""

from __future__ import annotations

from dataclasses import replace

from attacks import ALL, VECTORS, Fence, again, attack, four
from cairn_protocol import admission, keys, round_messages, self_mask, setup_checks, survivors
from cairn_protocol.clinic_round import ClinicRound
from cairn_protocol.messages import Opening, Packages
from lying_server import LyingServer

ANSWER_ONCE: Fence = (survivors.consider, "before is not None", "False")


@attack("split views", "peer.out-of-order", again("revealed", "Survivors"), ANSWER_ONCE)
def everyone_and_then_fewer(federate):
    server = LyingServer(four(federate), VECTORS, colluders=(3,))
    server.ask(2, ALL)
    for clinic in (0, 1):
        server.ask(clinic, (0, 1, 3))
    for clinic in (0, 1):
        server.certify(clinic, (0, 1, 3))
    server.ask(1, ALL)
    return server.read((2,)) == VECTORS[2]


@attack("split views", "peer.out-of-order", again("signed", "Survivors"), ANSWER_ONCE)
def two_sets_signed_by_one_clinic(federate):
    server = LyingServer(four(federate), VECTORS, colluders=(3,))
    for clinic, shown in ((1, (0, 1, 3)), (0, (0, 1, 3)), (2, (1, 2, 3)), (1, (1, 2, 3))):
        server.ask(clinic, shown)
    server.certify(1, (1, 2, 3))
    server.certify(0, (0, 1, 3))
    server.ask(2, ALL)
    return server.read((0,)) == VECTORS[0]


@attack(
    "split views", "", (survivors.consider, "opened=survivors == rules.participants", "opened=True")
)
def a_set_of_its_own_for_each_clinic(federate):
    server = LyingServer(four(federate), VECTORS, colluders=(3,))
    for clinic, shown in ((2, ALL), (1, (1, 2, 3)), (0, (0, 1, 3))):
        server.ask(clinic, shown)
    return server.read((0,)) == VECTORS[0]


def uncertified(federate, signers) -> bool:
    server = LyingServer(four(federate), VECTORS, colluders=(3,))
    server.ask(2, ALL)
    for clinic, shown in ((1, (1, 2, 3)), (0, (0, 1, 3))):
        server.ask(clinic, shown)
        server.certify(clinic, shown, signers)
    return server.read((0,)) == VECTORS[0]


@attack(
    "split views",
    "peer.certificate-short",
    (survivors.certify, "len(signers & set(said.survivors)) < rules.threshold", "False"),
)
def a_certificate_that_nobody_signed(federate):
    return uncertified(federate, {})


CONSENT: Fence = (
    ClinicRound.certify,
    'not self._signed(consent.clinic, "survivors", statement, consent.signature)',
    "False",
)


@attack("split views", "peer.consent-forged", CONSENT)
def a_certificate_with_made_up_signatures(federate):
    return uncertified(federate, dict.fromkeys(ALL, bytes(64)))


@attack(
    "split views",
    "peer.consent-forged",
    (round_messages.consent_statement, "header + survivors", "header"),
)
def a_certificate_of_signatures_on_other_sets(federate):
    server = LyingServer(four(federate), VECTORS, colluders=(3,))
    shown = {0: (0, 1, 3), 1: (1, 2, 3), 2: (0, 2, 3)}
    signed = {clinic: server.ask(clinic, sets).signature for clinic, sets in shown.items()}
    signed[3] = server.consent(3, server.named(0, (0, 1, 3)))
    for clinic, sets in shown.items():
        server.certify(clinic, sets, signed)
    return server.read((0,)) == VECTORS[0]


@attack(
    "survivor-set lies",
    "peer.upload-forged",
    (
        ClinicRound._check_named,
        'not self._signed(upload.clinic, "upload", statement, upload.signature)',
        "False",
    ),
)
def a_survivor_that_never_uploaded(federate):
    server = LyingServer(four(federate), VECTORS, away=(3,))
    invented = replace(server.uploads[2], clinic=3)
    uploads = server.uploads | {3: invented}
    sealed = server.sealed_share(1, 0) + server.sealed_share(2, 0) + bytes(64)
    reply = server.ask(0, ALL, uploads=uploads, sealed=sealed)
    return isinstance(reply, Opening)


@attack(
    "replay",
    "peer.upload-forged",
    (round_messages.upload_statement, "header + upload", "upload"),
)
def a_survivor_by_its_upload_of_an_earlier_attempt(federate):
    federation = four(federate)
    before = LyingServer(federation, VECTORS)
    server = LyingServer(federation, VECTORS, away=(3,), attempt=1)
    uploads = server.uploads | {3: before.uploads[3]}
    sealed = server.sealed_share(1, 0) + server.sealed_share(2, 0) + before.sealed_share(3, 0)
    return isinstance(server.ask(0, ALL, uploads=uploads, sealed=sealed), Opening)


@attack(
    "late upload after a drop claim",
    "",
    (ClinicRound.upload, "mask.stream if mask else None", "None"),
)
def an_upload_that_comes_after_its_clinic_was_called_lost(federate):
    server = LyingServer(four(federate), VECTORS)
    for clinic in (0, 1, 2):
        server.ask(clinic, (0, 1, 2))
    for clinic in (0, 1, 2):
        server.certify(clinic, (0, 1, 2))
    return VECTORS[3] in (server.read((3,)), server.read((3,), selves=False))


@attack(
    "late upload after a drop claim",
    "",
    (
        ClinicRound._open,
        "[c for c in self.header.participants if c not in answered.survivors]",
        "[c for c in self.header.participants if c != self._rules.own]",
    ),
)
def both_secrets_of_one_clinic(federate):
    server = LyingServer(four(federate), VECTORS)
    return len(server.ask(0, ALL).seeds) > 0


@attack(
    "replay",
    "",
    (keys.share_key, "+ ends + header", "+ ends"),
    (self_mask.share_commitment, '"share", header, ends', '"share", ends'),
)
def shares_of_an_earlier_attempt_among_those_of_a_later_one(federate):
    # Attempt 0 gives the seeds of clinic 3, attempt 1 its self mask of attempt 0.
    federation = four(federate)
    before = LyingServer(federation, VECTORS)
    for clinic in (0, 1, 2):
        before.ask(clinic, (0, 1, 2))
    for clinic in (0, 1, 2):
        before.certify(clinic, (0, 1, 2))
    server = LyingServer(federation, VECTORS, attempt=1)
    for clinic in (0, 1, 2):
        others = [server.sealed_share(c, clinic) for c in (0, 1, 2) if c != clinic]
        sealed = b"".join([*others, before.sealed_share(3, clinic)])
        before.take(clinic, ALL, server.ask(clinic, ALL, sealed=sealed))
    return before.read((3,)) == VECTORS[3]


@attack(
    "tiny cohort",
    "peer.too-few-survivors",
    (survivors.consider, "len(survivors) < rules.least", "False"),
)
def fewer_survivors_than_the_study_says(federate):
    federation = four(federate, survivors=4, threshold=3)
    server = LyingServer(federation, VECTORS, colluders=(3,))
    for clinic in (0, 1):
        server.ask(clinic, (0, 1, 3))
    for clinic in (0, 1):
        server.certify(clinic, (0, 1, 3))
    return server.read((0, 1)) == [11] * 4


@attack(
    "tiny cohort",
    "peer.packages-incomplete",
    (setup_checks.check_packages, "len(here) < least or", ""),
)
def keys_of_fewer_clinics_than_the_study_says(federate):
    federation = federate(4, dropout="recovered", survivors=3).opened()
    packages = federation.server.packages()
    two = Packages(packages.run, packages.packages[:2])
    return len(federation.runs[0].confirm(two, {}).notes) == 1


VERIFIED: Fence = (survivors.check_verified, "rules.verified is None", "True")


@attack("sybils", "policy.too-few-verified", VERIFIED)
def a_survivor_among_sybils(federate):
    federation = federate(4, dropout="recovered", survivors=3)
    known = frozenset(key.public for key in federation.identities[:2])
    opened = federation.open
    federation.open = lambda clinic, **settings: opened(clinic, verified=known, **settings)
    federation.agreed()
    server = LyingServer(federation, VECTORS, colluders=(2, 3))
    server.ask(0, (0, 2, 3))
    server.certify(0, (0, 2, 3))
    return server.read((0,)) == VECTORS[0]


@attack("sybils", "policy.too-few-verified", VERIFIED)
def a_roster_of_sybils(federate):
    federation = federate(4, dropout="recovered", survivors=3)
    _, package = federation.open(0, verified=frozenset())
    return package.clinic == 0


@attack(
    "tiny cohort",
    "policy.policy-too-weak",
    (admission.check_admission, "if faults := policy.faults():", "if faults := []:"),
)
def a_policy_that_protects_nobody(federate):
    _, package = federate(2, colluding=1).open(0)
    return package.clinic == 0


@attack(
    "tiny cohort",
    "policy.data-not-public",
    (admission.check_admission, "not data_are_public", "False"),
)
def a_study_that_calls_patients_public(federate):
    _, package = federate(1, data="public", colluding=0).open(0, data_are_public=False)
    return package.clinic == 0
