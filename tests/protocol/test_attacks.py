"""A lying server, lying clinics: each attack is refused with its own code and leaves no trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cairn_protocol.fixed_point import encode
from cairn_protocol.identity import Identity
from cairn_protocol.keys import KeyPair
from cairn_protocol.messages import CloseRun, KeyPackage, Packages, Refusal
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.states import State

STRANGER = Identity.generate()


def forged(message):
    """`message` with one bit of its signature turned."""
    return replace(message, signature=bytes((message.signature[0] ^ 1,)) + message.signature[1:])


def with_package(packages: Packages, package: KeyPackage) -> Packages:
    """`packages` with one exchanged."""
    others = list(packages.packages)
    others[package.clinic] = package
    return replace(packages, packages=tuple(others))


class TestStudyAndRoster:
    def test_a_study_signed_by_a_stranger(self, federate, refuses):
        federation = federate(3)
        study = SignedStudy.sign(federation.study, STRANGER)
        with refuses("peer.study-forged"):
            federation.open(0, replace(federation.opening, study=study))

    def test_a_study_under_the_teams_name_without_its_signature(self, federate, refuses):
        federation = federate(3)
        study = replace(federation.signed, signature=STRANGER.sign("study", b""))
        with refuses("peer.study-forged"):
            federation.open(0, replace(federation.opening, study=study))

    def test_a_study_that_was_not_approved(self, federate, refuses):
        with refuses("policy.study-not-approved"):
            federate(3).open(0, approved_digest=bytes(32))

    def test_a_roster_signed_by_a_stranger(self, federate, refuses):
        federation = federate(3)
        roster = SignedRoster.sign(federation.roster, STRANGER)
        with refuses("peer.roster-forged"):
            federation.open(0, replace(federation.opening, roster=roster))

    def test_the_roster_of_another_study(self, federate, refuses):
        federation, other = federate(3), federate(3, data="public")
        with refuses("peer.roster-foreign"):
            federation.open(0, replace(federation.opening, roster=other.signed_roster))

    def test_a_roster_other_than_the_pinned_one(self, federate, refuses):
        federation = federate(3)
        with refuses("peer.roster-fork"):
            federation.open(0, pinned_roster=bytes(32))
        federation.open(0, pinned_roster=federation.roster.digest)

    def test_a_roster_padded_with_sybils(self, federate, refuses):
        federation = federate(3)
        names = {entry.clinic: entry.identity for entry in federation.roster.entries}
        padded = Roster.first(federation.signed, names | {"sybil": STRANGER.public})
        roster = SignedRoster.sign(padded, federation.team)
        with refuses("policy.roster-size"):
            federation.open(0, replace(federation.opening, roster=roster))

    def test_too_few_clinics_are_known_to_the_operator(self, federate, refuses):
        federation = federate(3)
        known = [identity.public for identity in federation.identities]
        with refuses("policy.too-few-verified"):
            federation.open(0, verified=frozenset(known[:1]))
        federation.open(0, verified=frozenset(known[1:2]))  # its own counts in any case

    def test_a_clinic_that_is_not_on_the_roster(self, federate, refuses):
        federation = federate(3)
        federation.identities[0] = STRANGER
        with refuses("policy.not-on-roster"):
            federation.open(0)

    @pytest.mark.parametrize(
        ("clinics", "colluding"), [(1, 0), (2, 0), (2, 1), (3, 0), (3, 2), (4, 3)]
    )
    def test_a_policy_that_protects_nobody(self, federate, refuses, clinics, colluding):
        with refuses("policy.policy-too-weak"):
            federate(clinics, colluding=colluding).open(0)

    def test_a_study_that_calls_patients_data_public(self, federate, refuses):
        federation = federate(1, data="public", colluding=0)
        with refuses("policy.data-not-public"):
            federation.open(0, data_are_public=False)


class TestKeys:
    @pytest.fixture
    def opened(self, federate):
        federation = federate(3).opened()
        federation.packages = federation.server.packages()
        return federation

    def exchange(self, federation, clinic, **changes):
        package = replace(federation.packages.packages[clinic], **changes)
        return with_package(federation.packages, package)

    def test_a_package_with_a_forged_signature(self, opened, refuses):
        packages = with_package(opened.packages, forged(opened.packages.packages[1]))
        with refuses("peer.package-forged", opened.runs[0]):
            opened.runs[0].confirm(packages, {})

    def test_a_key_substituted_by_the_server(self, opened, refuses):
        packages = self.exchange(opened, 1, x25519=KeyPair.generate().x25519)
        with refuses("peer.package-forged", opened.runs[0]):
            opened.runs[0].confirm(packages, {})

    def test_this_clinics_own_package_exchanged_for_an_older_one(self, opened, refuses):
        _, older = opened.open(0)
        with refuses("peer.package-substituted", opened.runs[0]):
            opened.runs[0].confirm(with_package(opened.packages, older), {})

    def test_a_package_made_for_another_opening(self, opened, refuses):
        _, later = opened.open(1, replace(opened.opening, setup=7))
        with refuses("peer.package-foreign", opened.runs[0]):
            opened.runs[0].confirm(with_package(opened.packages, later), {})

    def test_a_package_made_for_another_run(self, opened, refuses):
        _, other = opened.open(1, replace(opened.opening, run=b"r" * 16))
        with refuses("peer.package-foreign", opened.runs[0]):
            opened.runs[0].confirm(with_package(opened.packages, other), {})

    def test_packages_of_part_of_the_roster(self, opened, refuses):
        packages = replace(opened.packages, packages=opened.packages.packages[:2])
        with refuses("peer.packages-incomplete", opened.runs[0]):
            opened.runs[0].confirm(packages, {})

    def test_packages_under_another_run(self, opened, refuses):
        with refuses("peer.run-foreign", opened.runs[0]):
            opened.runs[0].confirm(replace(opened.packages, run=b"r" * 16), {})

    @pytest.mark.parametrize(("key", "code"), [("own", "key-shared"), (bytes(32), "key-weak")])
    def test_a_clinic_that_signs_a_bad_key(self, opened, refuses, key, code):
        key = opened.packages.packages[0].x25519 if key == "own" else key
        bad = replace(opened.packages.packages[1], x25519=key)
        bad = bad.with_signature(opened.identities[1].sign("key package", bad.signed))
        with refuses(f"peer.{code}", opened.runs[0]):
            opened.runs[0].confirm(with_package(opened.packages, bad), {})

    def test_split_views_of_the_keys_are_seen_before_any_mask(self, opened, refuses):
        # Clinic 2 signs two packages; the server shows one to clinic 0, the other to clinic 1.
        twin, other = opened.open(2)
        views = [opened.packages, with_package(opened.packages, other)]
        opened.runs[0].confirm(views[0], {})
        confirmations = [opened.runs[1].confirm(views[1], {}), twin.confirm(views[1], {})]
        notes = [note for c in confirmations for note in c.notes if note.receiver == 0]
        context = opened.context()
        for t1, code in ((views[0].t1, "note-forged"), (views[1].t1, "t1-differs")):
            request = opened.forge_request(context, t1, notes)
            with refuses(f"peer.{code}", opened.runs[0]):
                opened.runs[0].accept(request, context, bool)


class TestRequests:
    def refused(self, refuses, federation, code, request, context=None):
        with refuses(code, federation.runs[0]):
            federation.runs[0].accept(request, context or federation.context(), bool)

    @pytest.fixture
    def request_(self, three):
        return three.requests(three.context())[0]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"run": b"r" * 16}, "peer.run-foreign"),
            ({"t1": bytes(32)}, "peer.t1-differs"),
            ({"participants": (0, 1)}, "peer.participants"),
            ({"participants": ()}, "peer.participants"),
            ({"participants": (0, 1, 2, 3)}, "peer.participants"),
            ({"question": "else"}, "peer.question-unknown"),
            ({"round": 1}, "peer.round-order"),
            ({"previous": bytes(32)}, "peer.transcript-differs"),
            ({"context": bytes(32)}, "peer.context-differs"),
            ({"attempt": 1}, "peer.context-differs"),
        ],
    )
    def test_a_changed_header(self, three, request_, refuses, change, code):
        header = replace(request_.header, **change)
        self.refused(refuses, three, code, replace(request_, header=header))

    @pytest.mark.parametrize(
        "change",
        [
            {"state": np.ones(3)},
            {"length": 6},
            {"bound": 2.0},
            {"sigma": 4.1},
            {"grid": 2.0**-15},
            {"reach": 9},
            {"bits": 32},
        ],
    )
    def test_another_meaning_of_the_sum(self, three, request_, refuses, change):
        self.refused(refuses, three, "peer.context-differs", request_, three.context(**change))

    def test_different_models_for_different_clinics(self, three, refuses):
        # Each clinic's own context is right for what it was shown, so both accept; the masks
        # were made under different headers and do not cancel.
        uploads = []
        for clinic, state in enumerate((np.zeros(3), np.zeros(3), np.ones(3))):
            context = three.context(state=state, length=50)
            request = three.requests(context, state)[clinic]
            uploads.append(three.upload(clinic, request, context, np.full(50, 7)))
        total = sum(np.frombuffer(upload.vector, dtype="<u8") for upload in uploads)
        assert np.count_nonzero(total == 21) == 0

    def test_a_sum_that_could_wrap(self, three, request_, refuses):
        context = three.context(reach=1 << 62)
        header = replace(request_.header, context=context.digest)
        self.refused(
            refuses, three, "policy.no-headroom", replace(request_, header=header), context
        )

    def test_a_replay_of_an_answered_round(self, three, request_, refuses):
        three.upload(0, request_, three.context(), np.arange(5))
        self.refused(refuses, three, "peer.round-past", request_)

    def test_the_same_round_with_another_context(self, three, request_, refuses):
        # Two models under one (round, attempt) would be two releases for one charge.
        three.upload(0, request_, three.context(), np.arange(5))
        other = three.context(state=np.ones(3))
        request = three.requests(other, np.ones(3))[0]
        self.refused(refuses, three, "peer.round-past", request, other)


class TestUploads:
    def test_the_same_request_again_gets_the_same_bytes(self, three):
        context = three.context()
        request = three.requests(context)[0]
        reply = three.upload(0, request, context, np.arange(5))
        again = three.runs[0].cached(three.requests(context)[0])
        assert again is not None
        assert again.to_bytes() == reply.to_bytes()
        ring = encode(np.arange(5), reach=9, modulus_bits=64)
        assert three.runs[0].upload(request, ring, three.mark(0)).to_bytes() == reply.to_bytes()
        assert three.runs[0].cached(three.requests(three.context(attempt=1))[0]) is None

    def test_a_second_vector_under_one_header(self, three, refuses):
        context = three.context()
        request = three.requests(context)[0]
        three.upload(0, request, context, np.arange(5))
        with refuses("internal.second-vector", three.runs[0]):
            three.runs[0].upload(request, np.ones(5, dtype=np.uint64), three.mark(0))

    @pytest.mark.parametrize(
        "vector", [np.zeros(4, "u8"), np.zeros(5, "u4"), np.zeros((1, 5), "u8")]
    )
    def test_a_vector_of_another_shape(self, three, refuses, vector):
        request = three.requests(three.context())[0]
        three.runs[0].accept(request, three.context(), bool)
        with refuses("internal.vector-type", three.runs[0]):
            three.runs[0].upload(request, vector, three.mark(0))

    def test_an_upload_for_a_request_that_was_not_accepted(self, three, refuses):
        request = three.requests(three.context())[0]
        with refuses("internal.not-accepted", three.runs[0]):
            three.runs[0].upload(request, np.zeros(5, dtype=np.uint64), three.mark(0))

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"run": b"r" * 16}, "run-foreign"),
            ({"clinic": 1}, "not-the-sender"),
            ({"header": bytes(32)}, "header-differs"),
            ({"modulus_bits": 32}, "vector-size"),
            ({"vector": bytes(32)}, "vector-size"),
            ({"vector": bytes(40)}, "upload-forged"),
            ({"signature": bytes(64)}, "upload-forged"),
        ],
    )
    def test_the_server_refuses_a_changed_upload(self, three, refuses, change, code):
        context = three.context()
        reply = three.upload(0, three.requests(context)[0], context, np.arange(5))
        with refuses(f"peer.{code}", three.server):
            three.server.receive(0, replace(reply, **change))
        assert three.server.missing == (0, 1, 2)

    def test_a_clinic_that_signs_a_vector_of_another_ring(self, three, refuses):
        context = three.context()
        reply = three.upload(0, three.requests(context)[0], context, np.arange(5))
        other = replace(reply, modulus_bits=32, vector=bytes(20))
        other = replace(other, signature=three.identities[0].sign("upload", other.signed))
        with refuses("peer.vector-size", three.server):
            three.server.receive(0, other)

    def test_a_clinic_that_answers_twice_differently(self, three, refuses):
        context = three.context()
        reply = three.upload(0, three.requests(context)[0], context, np.arange(5))
        three.server.receive(0, reply)
        three.server.receive(0, reply)
        other = replace(reply, vector=bytes(40))
        other = replace(other, signature=three.identities[0].sign("upload", other.signed))
        with refuses("peer.second-answer", three.server):
            three.server.receive(0, other)

    def test_a_refusal_reaches_the_server_in_words(self, three, refuses):
        with refuses("peer.refused", three.server):
            three.server.receive(0, Refusal("budget.spent", "nothing is left", hint="stop"))

    def test_the_server_refuses_a_servers_message(self, three, refuses):
        with refuses("peer.out-of-order", three.server):
            three.server.receive(0, three.opening)

    def test_the_server_knows_its_own_mistakes(self, federate, three, refuses):
        state = np.zeros(3, dtype="<f4").tobytes()
        with refuses("internal.incomplete"):
            federate(3).server.packages()
        with refuses("internal.context", three.server):
            three.server.request(three.context(state=np.ones(3)), state)
        with refuses("policy.no-headroom", three.server):
            three.server.request(three.context(reach=1 << 62), state)
        context = three.context()
        reply = three.upload(0, three.requests(context)[0], context, np.arange(5))
        with refuses("internal.incomplete", three.server):
            three.server.total()
        with refuses("internal.index", three.server):
            three.server.receive(3, reply)
        three.server.receive(0, reply)
        assert three.round(np.ones((3, 2), dtype=int), attempt=2).tolist() == [3, 3]
        with refuses("internal.round-finished", three.server):
            three.server.request(three.context(attempt=3), state)


class TestSetupReplies:
    @pytest.mark.parametrize(
        ("change", "code"),
        [({"opening": bytes(32)}, "package-foreign"), ({"nonce": bytes(32)}, "package-forged")],
    )
    def test_a_changed_package(self, federate, refuses, change, code):
        federation = federate(3)
        _, package = federation.open(0)
        with refuses(f"peer.{code}", federation.server):
            federation.server.receive(0, replace(package, **change))

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda reply: {"t1": bytes(32)}, "t1-differs"),
            (lambda reply: {"notes": reply.notes[:1]}, "unconfirmed"),
            (lambda reply: {"notes": (forged(reply.notes[0]), reply.notes[1])}, "note-forged"),
        ],
    )
    def test_a_changed_confirmation(self, federate, refuses, change, code):
        federation = federate(3).opened()
        reply = federation.runs[0].confirm(federation.server.packages(), {})
        with refuses(f"peer.{code}", federation.server):
            federation.server.receive(0, replace(reply, **change(reply)))


class TestClosing:
    def test_closing_erases_every_key(self, three, refuses):
        context = three.context()
        three.upload(0, three.requests(context)[0], context, np.arange(5))
        run = three.runs[0]
        roots = list(run._roots._roots.values())
        assert all(any(root) for root in roots)
        closing = three.server.close("done")[0]
        with refuses("peer.run-foreign", run):
            run.close(CloseRun(b"r" * 16, "done"))
        reply = run.close(closing)
        assert not any(any(root) for root in roots)
        assert run._roots is run._round is run._greeted is run._agreement is None
        assert run.cached(closing) == reply
        with refuses("peer.closed-forged", three.server):
            three.server.receive(0, forged(reply))
        three.server.receive(0, reply)
        assert three.server.missing == (1, 2)

    def test_closing_before_the_end_of_a_run(self, three, refuses):
        reply = three.runs[0].close(CloseRun(three.opening.run, "done"))
        with refuses("peer.out-of-order", three.server):
            three.server.receive(0, reply)

    def test_an_abandoned_run_has_no_keys(self, federate, refuses):
        federation = federate(3).opened()
        run, packages = federation.runs[0], federation.server.packages()
        run.erase()
        with refuses("peer.out-of-order", run):
            run.confirm(packages, {})
        run.state = State.OPENED  # a bug that forgot the state would still find no key
        with refuses("internal.keys-erased", run):
            run.confirm(packages, {})
