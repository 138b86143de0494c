"""`onnx_bytes`: the network as ONNX, written operator by operator.

Opset 17 (GRU-14, Softplus-1, IR 8): old enough for what hospitals run. One input `features`
(patients, 27, F) float32, five outputs named as in `Prediction`. ONNX orders a GRU's gates update,
reset, new; ours are reset, update, new, and its `linear_before_reset = 1` is our cell (the reset
gate acts after the product). A head below the floor is NaN: it cannot be used by mistake.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cairn_models.export.arrays import Named
from cairn_models.export.card import Card
from cairn_models.export.heads import bands_of
from cairn_models.trajectory.columns import (
    COLUMNS,
    DROPOUTS,
    HORIZONS,
    LAST,
    OUTCOMES,
    SCALES,
    WEEKS,
)
from cairn_models.trajectory.network import CHANCES, OUTPUTS, PARTS, SCALE, SCORES, layout
from cairn_models.trajectory.recurrent import HIDDEN
from cairn_protocol.errors import InputError

Floats = NDArray[np.float32]

OPSET: Final = 17
IR: Final = 8
H: Final = len(HORIZONS)
SHAPES: Final = {
    "median": (SCALES, H),
    "below": (SCALES, H),
    "above": (SCALES, H),
    "outcome": (len(OUTCOMES), H),
    "dropout": (len(DROPOUTS),),
}


def masks(card: Card) -> dict[str, NDArray[np.bool_]]:
    """Which entries of each output may be used; shapes as in `SHAPES`."""
    usable = {(head.output, head.horizon) for head in card.usable}

    def rows(names: tuple[str, ...]) -> NDArray[np.bool_]:
        return np.array([[(name, h) in usable for h in HORIZONS] for name in names])

    names = (card.main.name, card.companion.name)
    scores = rows(names)
    bands = scores & rows((bands_of(names[0]), bands_of(names[1])))
    dropout = np.array([(name, None) in usable for name in DROPOUTS])
    return {
        "median": scores,
        "below": bands,
        "above": bands,
        "outcome": rows(OUTCOMES),
        "dropout": dropout,
    }


def onnx_bytes(parameters: Floats, card: Card, named: Named) -> bytes:
    """The model's bytes.

    Raises:
        InputError: the package onnx is not installed.
    """
    try:
        import onnx  # noqa: PLC0415  an extra
        from onnx import TensorProto, helper  # noqa: PLC0415
    except ImportError:
        raise InputError(
            "the package onnx is not installed",
            code="onnx-missing",
            hint="install the extra: cairn-federated[export]; or export with --no-onnx",
        ) from None
    constants: dict[str, NDArray[Any]] = _weights(parameters) | _plan()
    constants |= {f"{name}_usable": mask for name, mask in masks(card).items()}
    graph = helper.make_graph(
        [helper.make_node(kind, ins, outs, **more) for kind, ins, outs, more in _nodes()],
        "cairn_course",
        [
            helper.make_tensor_value_info(
                "features", TensorProto.FLOAT, ["patients", WEEKS, len(COLUMNS)]
            )
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["patients", WEEKS, *shape])
            for name, shape in SHAPES.items()
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="cairn"
    )
    model.ir_version = IR
    helper.set_model_props(model, dict(vars(named)))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _weights(parameters: Floats) -> dict[str, NDArray[Any]]:
    """GRU and head as ONNX has them, from the flat vector."""
    parts, at = {}, 0
    for name, shape in layout():
        size = int(np.prod(shape))
        parts[name.removeprefix("recurrent.")] = parameters[at : at + size].reshape(shape)
        at += size

    def gates(values: Floats) -> Floats:
        reset, update, new = np.split(values, 3)
        return np.concatenate([update, reset, new])

    bias = np.concatenate([gates(parts["input_bias"]), gates(parts["recurrent_bias"])])
    return {
        "W": gates(parts["input_weight"])[None],
        "R": gates(parts["recurrent_weight"])[None],
        "B": bias[None],
        "head_weight": np.ascontiguousarray(parts["head_weight"].T),
        "head_bias": np.ascontiguousarray(parts["head_bias"]),
    }


def _plan() -> dict[str, NDArray[Any]]:
    """Constants that no training moves."""
    return {
        "last": np.array(LAST, dtype=np.int64),
        "scale": np.array(SCALE, dtype=np.float32),
        "missing": np.array(np.nan, dtype=np.float32),
        "one": np.array([1], dtype=np.int64),
        "three": np.array([3], dtype=np.int64),
        "parts": np.array([SCORES, CHANCES, OUTPUTS - SCORES - CHANCES], dtype=np.int64),
        "score_shape": np.array([0, WEEKS, SCALES, H, PARTS], dtype=np.int64),
        "outcome_shape": np.array([0, WEEKS, len(OUTCOMES), H], dtype=np.int64),
        "first": np.array(0, dtype=np.int64),
        "second": np.array(1, dtype=np.int64),
        "third": np.array(2, dtype=np.int64),
    }


def _nodes() -> list[tuple[str, list[str], list[str], dict[str, Any]]]:
    """(operator, inputs, outputs, attributes) in order."""
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Transpose", ["features"], ["by_week"], {"perm": [1, 0, 2]}),
        (
            "GRU",
            ["by_week", "W", "R", "B"],
            ["states"],
            {"hidden_size": HIDDEN, "linear_before_reset": 1},
        ),
        ("Squeeze", ["states", "one"], ["states_by_week"], {}),  # (27, 1, n, 32): one direction
        ("Transpose", ["states_by_week"], ["by_patient"], {"perm": [1, 0, 2]}),
        ("MatMul", ["by_patient", "head_weight"], ["product"], {}),
        ("Add", ["product", "head_bias"], ["out"], {}),
        ("Split", ["out", "parts"], ["score", "chance", "odds"], {"axis": -1}),
        ("Reshape", ["score", "score_shape"], ["scores"], {}),
        ("Gather", ["scores", "first"], ["change"], {"axis": -1}),
        ("Gather", ["features", "last"], ["last_values"], {"axis": 2}),
        ("Unsqueeze", ["last_values", "three"], ["from_last"], {}),
        ("Mul", ["change", "scale"], ["moved"], {}),
        ("Add", ["from_last", "moved"], ["all_median"], {}),
    ]
    for name, place in (("below", "second"), ("above", "third")):
        nodes += [
            ("Gather", ["scores", place], [f"{name}_part"], {"axis": -1}),
            ("Softplus", [f"{name}_part"], [f"{name}_wide"], {}),
            ("Mul", [f"{name}_wide", "scale"], [f"all_{name}"], {}),
        ]
    nodes += [
        ("Reshape", ["chance", "outcome_shape"], ["outcome_odds"], {}),
        ("Sigmoid", ["outcome_odds"], ["all_outcome"], {}),
        ("Sigmoid", ["odds"], ["all_dropout"], {}),
    ]
    return nodes + [
        ("Where", [f"{name}_usable", f"all_{name}", "missing"], [name], {}) for name in SHAPES
    ]
