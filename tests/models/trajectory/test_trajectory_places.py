"""A patient's gradient and prediction have the same bits at every place of a block."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from cairn_models.trajectory import dp_gradient, network
from cairn_models.trajectory.places import copies, one_thread, require_alike
from cairn_protocol.errors import OurFault

CHECK = """
import torch
torch.set_num_threads({threads})
from cairn_models.trajectory import dp_gradient, network
dp_gradient.check_places()
network.check_places(256)
assert torch.get_num_threads() == {threads}
print("alike")
"""


@pytest.mark.parametrize(("instructions", "threads"), [("AVX2", 2), ("AVX2", 3), ("", 2)])
def test_places_are_alike_on_other_processors_and_with_threads(
    instructions: str, threads: int
) -> None:
    """MKL under AVX2 with two threads is the case that was seen to fail."""
    environment = os.environ | {"MKL_ENABLE_INSTRUCTIONS": instructions}
    code = CHECK.format(threads=threads)
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "alike", ran.stderr


def test_a_last_bit_at_one_place_stops_the_clinic(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = dp_gradient.patient_gradients

    def edge(*args: object) -> np.ndarray:
        rows = honest(*args)  # type: ignore[arg-type]
        rows[127, 5] = np.nextafter(rows[127, 5], np.float32(1))
        return rows

    monkeypatch.setattr(dp_gradient, "patient_gradients", edge)
    dp_gradient.check_places.cache_clear()
    with pytest.raises(OurFault) as caught:
        dp_gradient.check_places()
    assert caught.value.code == "internal.places-differ"


def test_the_check_sees_every_place_and_every_number() -> None:
    rows = copies((3, 4), 128, seed=1)
    require_alike(rows)
    for place in (1, 64, 127):
        changed = rows.copy()
        changed[place, 2, 3] = np.nextafter(changed[place, 2, 3], np.float32(2))
        with pytest.raises(OurFault):
            require_alike(changed)


def test_one_thread_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_network_of_the_check_is_generic() -> None:
    """Were rows of its arithmetic zero, a difference would not show."""
    vector = network.flat(network.drawn())
    assert np.count_nonzero(vector) == vector.size
