"""One header, one vector, one meaning: replays, differences, other models, stolen memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attacks import VECTORS, Fence, attack, four, three
from cairn_protocol import fixed_point, keys
from cairn_protocol.clinic_round import ClinicRound
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.fixed_point import encode
from cairn_protocol.history import History
from cairn_protocol.masks import pair_sign
from cairn_protocol.messages import RoundRecord
from cairn_protocol.roots import Roots
from lying_server import LyingServer

IN_ORDER: Fence = (History._next, "(after.question, after.round, after.attempt) < here", "False")


@attack(
    "different models to different clinics",
    "",
    (keys.pair_seed, 'b"cairn seed v2\\0" + header', 'b"cairn seed v2\\0"'),
)
def a_model_of_its_own_for_each_clinic(federate):
    federation, uploads = three(federate), {}
    for clinic, state in enumerate((np.zeros(3), np.zeros(3), np.ones(3))):
        context = federation.context(state=state, length=4)
        request = federation.requests(context, state)[clinic]
        uploads[clinic] = federation.upload(clinic, request, context, np.array(VECTORS[clinic]))
    server = LyingServer.__new__(LyingServer)
    server.context, server.uploads = context, uploads
    return server.bare((0, 1, 2)) == [111] * 4


@attack(
    "crafted model",
    "peer.context-differs",
    (ClinicRun.accept, "not header.means(context)", "False"),
)
def a_sum_that_means_something_else(federate):
    federation = three(federate)
    request = federation.requests(federation.context(sigma=0.1))[0]
    return federation.upload(0, request, federation.context(), np.arange(5)).clinic == 0


@attack(
    "differencing across attempts",
    "internal.second-vector",
    (ClinicRound.upload, 'self.uploaded not in (b"", digest)', "False"),
)
def a_second_vector_under_one_header(federate):
    federation = three(federate)
    context = federation.context()
    request = federation.requests(context)[0]
    first = federation.upload(0, request, context, np.arange(5))
    ring = encode(np.arange(5) * 3, reach=context.reach, modulus_bits=64)
    second = federation.runs[0].upload(request, ring, federation.mark(0))
    return difference(context, first, second) == [0, 2, 4, 6, 8]


def difference(context, first, second) -> list[int]:
    """What two uploads under the same masks say."""
    rows = [np.frombuffer(upload.vector, dtype="<u8") for upload in (first, second)]
    return (rows[1] - rows[0]).astype(np.int64).tolist()


@attack("replay", "peer.round-past", IN_ORDER)
def the_same_request_again(federate):
    federation = three(federate)
    context = federation.context()
    request = federation.requests(context)[0]
    first = federation.upload(0, request, context, np.arange(5))
    second = federation.upload(0, request, context, np.arange(5) * 3)
    return difference(context, first, second) == [0, 2, 4, 6, 8]


@attack("replay", "peer.round-past", IN_ORDER)
def two_models_under_one_attempt(federate):
    # Two releases for one charge.
    federation = three(federate)
    for state in (np.zeros(3), np.ones(3)):
        context = federation.context(state=state)
        request = federation.requests(context, state)[0]
        reply = federation.upload(0, request, context, np.arange(5))
    return reply.header == request.header.digest


@attack(
    "differencing across rounds",
    "peer.transcript-differs",
    (History.follow, "if header.previous != head:", "if False:"),
)
def a_history_that_the_clinic_did_not_see(federate):
    federation = three(federate)
    context = federation.context()
    request = federation.requests(context)[0]
    elsewhere = replace(request, header=replace(request.header, previous=b"e" * 32))
    return federation.upload(0, elsewhere, context, np.arange(5)).clinic == 0


@attack(
    "differencing across rounds",
    "peer.record-forged",
    (
        History._check,
        'upload.mark.identity != key or not verify(key, "upload", signed, upload.signature)',
        "False",
    ),
)
def a_finished_round_that_the_others_never_answered(federate):
    federation = three(federate)
    context = federation.context()
    asked = federation.requests(context)[0]
    own = federation.upload(0, asked, context, np.arange(5)).signed_digest
    invented = (own, replace(own, clinic=1), replace(own, clinic=2))
    record = RoundRecord(asked.header, invented)
    context = federation.context(round_=1)
    header = replace(asked.header, round=1, context=context.digest, previous=record.digest)
    request = replace(asked, header=header, notes=(), records=(record,))
    return federation.upload(0, request, context, np.arange(5)).clinic == 0


@attack(
    "differencing across cohorts",
    "peer.participants",
    (ClinicRun.accept, "header.participants != packages.participants", "False"),
)
def a_cohort_without_one_of_the_clinics_that_agreed(federate):
    federation = four(federate)
    context = federation.context()
    request = federation.requests(context)[0]
    fewer = replace(request, header=replace(request.header, participants=(0, 1, 2)))
    return federation.upload(0, fewer, context, np.arange(5)).dealt == 3


@attack(
    "replay",
    "",
    (Roots.turn, "self._root(peer)[:] = ratcheted(root, transcript)", "pass"),
)
def a_keepers_memory_taken_a_round_later(federate):
    federation = three(federate)
    vectors = np.array(VECTORS[:3])
    server = LyingServer(federation, vectors)
    for clinic, upload in server.uploads.items():
        federation.server.receive(clinic, upload)
    federation.server.total()
    context = federation.context(round_=1, length=4)
    federation.upload(0, federation.requests(context)[0], context, vectors[0])
    stolen = federation.runs[0]._roots.seeds(server.header.digest)
    streams = [(seed, -pair_sign(0, peer)) for peer, seed in stolen.items()]
    return server.bare((0,), streams) == VECTORS[0]


@attack("replay", "", (Roots.erase, "erase(root)", "pass"))
def a_keepers_memory_taken_after_the_run(federate):
    federation = three(federate)
    context = federation.context()
    federation.upload(0, federation.requests(context)[0], context, np.arange(5))
    roots = list(federation.runs[0]._roots._roots.values())
    federation.runs[0].close(federation.server.close("done")[0])
    return any(any(root) for root in roots)


@attack(
    "overflow",
    "policy.no-headroom",
    (fixed_point.check_headroom, "reach > largest_reach(clinics, modulus_bits)", "False"),
)
def a_sum_that_wraps(federate):
    federation = three(federate)
    notes = federation.requests(federation.context())[0].notes
    context = federation.context(reach=1 << 62)
    request = federation.forge_request(context, federation.server._t1, notes)
    return federation.upload(0, request, context, np.full(5, 1 << 62)).clinic == 0
