"""The ONNX model gives what the network gives, to 1e-5, in other hands; and NaN below the floor."""

from __future__ import annotations

import numpy as np
import pytest

from cairn_models.export import arrays
from cairn_models.export.heads import Number, Told
from cairn_models.export.onnx_graph import IR, OPSET, SHAPES, onnx_bytes
from cairn_models.measures import INSTRUMENTS
from cairn_models.synthetic import World, generate
from cairn_models.trajectory.columns import COLUMNS, HORIZONS, OUTCOMES, WEEKS
from cairn_models.trajectory.features import weekly
from cairn_models.trajectory.network import drawn, flat, predict
from export_models import all_usable, card, model

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def ran(data: bytes, features: np.ndarray) -> dict[str, np.ndarray]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return dict(zip(SHAPES, session.run(list(SHAPES), {"features": features}), strict=True))


NAMED = arrays.Named.of("PHQ-9", "ab" * 32, "course")


@pytest.mark.parametrize("patients", [1, 3, 40])
@pytest.mark.parametrize("parameters", [model().parameters, flat(drawn())], ids=["prior", "drawn"])
def test_equals_the_network(patients: int, parameters: np.ndarray) -> None:
    records = generate(World(), [patients], seed=5)[0]
    features = weekly(records, INSTRUMENTS["PHQ-9"]).features
    found = ran(onnx_bytes(parameters, card(heads=all_usable()), NAMED), features)
    truth = predict(parameters, features)
    for name in SHAPES:
        own = getattr(truth, name)
        assert found[name].shape == own.shape
        np.testing.assert_allclose(found[name], own, rtol=0, atol=1e-5, err_msg=name)


def test_equals_the_network_on_anything() -> None:
    features = np.random.default_rng(3).normal(0, 2, (8, WEEKS, len(COLUMNS))).astype(np.float32)
    parameters = flat(drawn())
    found = ran(onnx_bytes(parameters, card(heads=all_usable()), NAMED), features)
    truth = predict(parameters, features)
    for name in SHAPES:
        np.testing.assert_allclose(found[name], getattr(truth, name), rtol=0, atol=1e-5)


def test_a_head_below_its_floor_is_nan() -> None:
    features = np.zeros((2, WEEKS, len(COLUMNS)), dtype=np.float32)
    found = ran(onnx_bytes(model().parameters, card(), NAMED), features)
    usable = [HORIZONS.index(h) for h in (4, 8)]
    for name in ("median", "below", "above"):
        there = np.isfinite(found[name]).all(axis=(0, 1))  # (2, H)
        assert sorted(np.flatnonzero(there[0])) == usable
        assert not there[1].any()
    assert np.isnan(found["outcome"]).all()
    assert np.isnan(found["dropout"]).all()


def test_only_what_opened_is_a_number() -> None:
    """Bands without a measured coverage are NaN; a probability that opened is there."""
    told = (Told("q", "recovery", 4, Number(0.8, 0.7, 0.9), 0.6),)
    features = np.zeros((1, WEEKS, len(COLUMNS)), dtype=np.float32)
    found = ran(onnx_bytes(model().parameters, card(held=(), told=told), NAMED), features)
    assert np.isfinite(found["median"][0, 0]).sum() == 2
    assert np.isnan(found["below"]).all()
    assert np.isnan(found["above"]).all()
    there = np.isfinite(found["outcome"][0, 0])
    assert np.argwhere(there).tolist() == [[OUTCOMES.index("recovery"), HORIZONS.index(4)]]


def test_says_what_it_is() -> None:
    found = onnx.load_from_string(onnx_bytes(model().parameters, card(), NAMED))
    assert (found.opset_import[0].version, found.ir_version) == (OPSET, IR)
    told = {p.key: p.value for p in found.metadata_props}
    assert told["instrument"] == "PHQ-9"
    assert "research use only" in told["use"]
    [features] = found.graph.input
    dims = [d.dim_value or d.dim_param for d in features.type.tensor_type.shape.dim]
    assert dims == ["patients", WEEKS, len(COLUMNS)]


def test_same_bytes_again() -> None:
    first, second = (onnx_bytes(model().parameters, card(), NAMED) for _ in range(2))
    assert first == second
