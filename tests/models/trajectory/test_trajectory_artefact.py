"""The shipped prior is the file that was released, and nothing else is loaded in its place."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from cairn_models.measures import INSTRUMENTS
from cairn_models.synthetic import World, generate
from cairn_models.trajectory import artefact
from cairn_models.trajectory.artefact import ARTEFACTS, CHECKSUMS, DEFAULT_PRIOR
from cairn_models.trajectory.network import parameter_count
from cairn_models.trajectory.pretrain import pretrain, turned
from cairn_models.trajectory.varied import varied
from cairn_protocol.errors import InputError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "artefacts"
    shutil.copytree(ARTEFACTS, folder)
    return folder


def test_every_shipped_file_has_its_checksum():
    lines = (ARTEFACTS / CHECKSUMS).read_text().splitlines()
    named = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name, digest in named.items():
        assert hashlib.sha256((ARTEFACTS / name).read_bytes()).hexdigest() == digest
    shipped = {p.name for p in ARTEFACTS.iterdir() if p.suffix in {".safetensors", ".json"}}
    assert shipped == set(named)


def test_the_shipped_prior_loads_and_says_that_it_is_synthetic():
    prior = artefact.read()
    assert prior.parameters.shape == (parameter_count(),)
    assert np.isfinite(prior.parameters).all()
    assert "synthetic" in prior.card.origin


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_flipped_bit_is_refused(copy, suffix):
    path = copy / f"{DEFAULT_PRIOR}{suffix}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError) as refusal:
        artefact.read(folder=copy)
    assert refusal.value.code == "input.prior-changed"
    assert refusal.value.hint


def test_another_version_of_the_network_is_refused(copy):
    prior = artefact.read()
    card = dataclasses.replace(prior.card, network_version=prior.card.network_version + 1)
    artefact.write(dataclasses.replace(prior, card=card), copy)
    with pytest.raises(InputError, match="version"):
        artefact.read(folder=copy)


def test_an_unknown_or_missing_prior_is_refused_with_a_remedy(copy, tmp_path):
    with pytest.raises(InputError, match="no prior called") as refusal:
        artefact.read("../../etc/passwd", copy)
    assert DEFAULT_PRIOR in refusal.value.hint
    (copy / f"{DEFAULT_PRIOR}.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        artefact.read(folder=copy)
    with pytest.raises(InputError, match="cannot be read"):
        artefact.read(folder=tmp_path / "nowhere")


def test_a_prior_survives_a_round_trip(tmp_path):
    prior = pretrain(worlds=3, epochs=1, seed=4, name="tiny")
    artefact.write(prior, tmp_path)
    again = artefact.read("tiny", tmp_path)
    assert again.card == prior.card
    assert np.array_equal(again.parameters, prior.parameters)
    longest = np.abs(prior.directions).max(axis=1, keepdims=True)
    assert (np.abs(again.directions - prior.directions) <= longest / 250).all()
    assert np.array_equal(again.curvature, prior.curvature)


def test_the_directions_are_turned_so_that_the_loss_bends_along_each_by_itself():
    shipped = artefact.read()
    assert (shipped.curvature >= 0).all()
    assert (np.diff(shipped.curvature) <= 0).all()
    rng = np.random.default_rng(5)
    cohorts = [varied(generate(World.wide(rng), [40], seed=k), rng) for k in range(30)]
    few = shipped.directions[:6]
    turned_again, curvature = turned(shipped.parameters, few, cohorts, INSTRUMENTS["PHQ-9"])
    assert np.linalg.matrix_rank(np.concatenate([few, turned_again]).astype(float), tol=1e-4) == 6
    assert curvature == pytest.approx(shipped.curvature[:6], rel=0.5)


def test_the_same_seed_builds_the_same_prior():
    first, second = (pretrain(worlds=2, epochs=1, seed=7).parameters for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.soak
def test_rebuilding_gives_the_shipped_prior():
    """Close, not equal: another processor may round differently."""
    shipped = artefact.read()
    card = shipped.card
    rebuilt = pretrain(worlds=card.worlds, epochs=card.epochs, seed=card.seed).parameters
    gap = np.linalg.norm(rebuilt - shipped.parameters) / np.linalg.norm(shipped.parameters)
    assert gap < 0.05
