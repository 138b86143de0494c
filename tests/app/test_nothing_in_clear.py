"""The server side never holds a clinic's vector in clear: every message on the Grid is looked at.

The door is watched too, so the test knows each clinic's sum, its noise-free sum and its encoded
vector, and searches all bytes that crossed the Grid for any of them. The last test takes the
masks away and shows that the search would have found it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cairn_app import embedded_study
from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.door import Asked, Door, Leaving
from cairn_client.link import client_app
from cairn_privacy.bound import bounded_sum
from cairn_protocol import clinic_round
from cairn_protocol.fixed_point import decode as decode_sum
from cairn_protocol.fixed_point import from_wire, to_wire, word
from cairn_protocol.messages import Upload, decode
from cairn_protocol.server_run import ServerRun
from cairn_protocol.study import Study

Crossed = list[bytes]


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> Crossed:
    """Every body that crosses the Grid, in both directions."""
    seen: Crossed = []

    def watched(forward: Callable[[bytes], bytes]) -> object:
        def both_ways(request: bytes) -> bytes:
            reply = forward(request)
            seen.extend((request, reply))
            return reply

        return client_app(both_ways)

    monkeypatch.setattr(embedded_study, "client_app", watched)
    return seen


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What no message may hold: each clinic's encoded vector and its sums, in every encoding."""
    kept: list[bytes] = []
    answer = Door.answer

    def watched(door: Door, asked: Asked) -> Leaving:
        leaving = answer(door, asked)
        bits = asked.terms.scale.modulus_bits
        kept.extend((to_wire(leaving.vector, bits), leaving.vector.tobytes()))
        shape = asked.question.shape
        if asked.terms.noise is not None and shape.bound is not None:
            grid = asked.terms.noise.grid
            steps = bounded_sum(door._rows(asked), shape.length, shape.bound, grid)
            natural = steps * asked.terms.scale.step
            kept.extend((steps.tobytes(), natural.tobytes(), natural.astype(np.float32).tobytes()))
        return leaving

    monkeypatch.setattr(Door, "answer", watched)
    return kept


def leaked(crossed: Crossed, secrets: list[bytes]) -> bool:
    """Whether any 16 bytes of any secret (other than zeros) stand in any message."""
    everything = b"\x00" * 8 + b"".join(crossed)
    windows = {s[at : at + 16] for s in secrets for at in range(0, len(s) - 15, 8)}
    return any(window in everything for window in windows if window.strip(b"\x00\xff"))


def test_no_message_holds_a_clinics_vector(
    small_study: Study, clinics: list[ClinicFolder], crossed: Crossed, secrets: list[bytes]
) -> None:
    study = EmbeddedStudy(small_study, clinics)
    study.read()
    results = study.run()
    assert results.answers
    assert len(secrets) == 5 * len(clinics)
    assert not leaked(crossed, secrets)


def test_an_upload_is_not_the_vector_and_the_sum_of_uploads_is_the_sum_of_vectors(
    small_study: Study, clinics: list[ClinicFolder], crossed: Crossed, secrets: list[bytes]
) -> None:
    study = EmbeddedStudy(small_study, clinics)
    study.read()
    study.run()
    uploads = [m for m in map(decode, crossed) if isinstance(m, Upload)]
    assert len(uploads) == len(clinics)
    bits, packed = uploads[0].modulus_bits, secrets[::5]
    vectors = [np.frombuffer(words, dtype=word(bits)) for words in secrets[1::5]]
    assert not set(packed) & {upload.vector for upload in uploads}
    masked = [from_wire(upload.vector, bits, vectors[0].size) for upload in uploads]
    total = np.sum(masked, axis=0, dtype=word(bits))
    assert (decode_sum(total, bits) == sum(decode_sum(v, bits) for v in vectors)).all()


def test_no_message_names_a_patient(
    small_study: Study, clinics: list[ClinicFolder], crossed: Crossed
) -> None:
    study = EmbeddedStudy(small_study, clinics)
    imports = study.read()
    study.run()
    everything = b"".join(crossed)
    for read in imports.values():
        for patient in read.records.patients["patient"]:
            assert patient.encode() not in everything


def test_without_masks_the_search_finds_the_vectors(
    small_study: Study,
    clinics: list[ClinicFolder],
    crossed: Crossed,
    secrets: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clinic_round, "masked", lambda vector, *_: vector)
    study = EmbeddedStudy(small_study, clinics)
    study.read()
    study.run()
    assert leaked(crossed, secrets)


def test_without_noise_the_sum_is_found_at_the_server(
    small_study: Study,
    clinics: list[ClinicFolder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the server opens differs from the exact sum; it would not if the door forgot noise."""

    def opened(noise: bool) -> bool:
        exact: list[np.ndarray] = []
        seen: list[np.ndarray] = []
        with monkeypatch.context() as patch:
            if not noise:
                patch.setattr("cairn_client.door.add_noise", lambda total, plan: total)
            answer = Door.answer

            def watched(door: Door, asked: Asked) -> Leaving:
                shape, plan = asked.question.shape, asked.terms.noise
                assert plan is not None
                rows = door._rows(asked)
                exact.append(bounded_sum(rows, shape.length, shape.bound or 0.0, plan.grid))
                return answer(door, asked)

            patch.setattr(Door, "answer", watched)
            again = Study.parse(small_study.source + b"# noise\n" * noise)
            study = EmbeddedStudy(again, clinics)
            total = ServerRun.total

            def watched_total(server: ServerRun) -> np.ndarray:
                seen.append(total(server))
                return seen[-1]

            patch.setattr(ServerRun, "total", watched_total)
            study.read()
            study.run()
        return bool((np.sum(exact, axis=0) == seen[0]).all())

    assert not opened(noise=True)
    assert opened(noise=False)
