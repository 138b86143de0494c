"""The masking benchmark measures what it says, on sizes that take a moment."""

from __future__ import annotations

import time
from importlib.util import find_spec

import numpy as np
import pytest
from benchmarks.bench_masking import LONE, SIZES, median_row, targets
from benchmarks.masking_cairn import cairn_row, lone_row, memory_row
from benchmarks.masking_ckks import ckks_row
from benchmarks.masking_clock import Clock
from benchmarks.masking_flower import Clinics, Stopped, flower_row
from benchmarks.masking_keeper import keeper_row
from benchmarks.masking_limit import limit_seconds
from benchmarks.masking_parties import Parties, Size
from benchmarks.masking_signatures import Signatures

from cairn_protocol import server_run
from cairn_protocol.identity import Identity, verify

BLOCK = 128 * 1024


def test_a_clock_adds_medians_and_tells_signatures_apart() -> None:
    clock = Clock()
    for seconds in (1.0, 5.0, 2.0):
        clock.add("a", (0.0, 0.0), (seconds, 2 * seconds))
    clock.add("b", (1.0, 1.0), (4.0, 1.5))
    assert clock.cpu("a", "b", "never") == 5.0
    assert clock.wall("a", "b") == 4.5
    with Signatures() as signatures:
        clock = Clock(lambda: signatures.spent)
        identity = Identity.generate()
        with clock("signed"):
            for _ in range(20):
                identity.sign("upload", b"statement")
        with clock("not"):
            time.sleep(0.001)
    assert 0 < clock.signed("signed") <= clock.cpu("signed")
    assert clock.signed("not") == 0
    assert clock.alone("signed") < clock.cpu("signed")
    assert verify.__module__ == "cairn_protocol.identity"  # everything is as it was
    assert not hasattr(Identity.sign, "__wrapped__")
    assert not hasattr(vars(server_run).get("verify"), "__wrapped__")


@pytest.mark.parametrize("size", [Size(3, 500), Size(5, 500), Size(5, 500, dropped=1)])
def test_parties_come_to_the_sum_and_every_figure_is_there(size: Size) -> None:
    row = cairn_row(size, 1, BLOCK)
    unmasked = row["unmask"] > 0
    assert unmasked == size.recovers
    assert 0 < row["upload_alone"] < row["upload"]
    assert 0 < row["server_alone"] < row["server"]
    assert row["upload_bytes"] > 4 * size.length


def test_a_wrong_sum_is_no_result() -> None:
    parties = Parties(Size(5, 100))
    parties.agree()
    parties.vectors = parties.vectors.copy()
    honest = parties.finish

    def lying(uploads: dict[int, bytes]) -> np.ndarray:
        return honest(uploads) + 1

    parties.finish = lying
    with pytest.raises(AssertionError, match="the sum is wrong"):
        parties.round()


def test_one_clinic_is_shown_a_run_that_it_accepts() -> None:
    row = lone_row(Size(7, 400), 2, BLOCK)
    assert row["clinic_setup"] > 0
    assert row["unmask"] > 0


def test_memory_counts_the_vector_the_upload_and_what_lies_between() -> None:
    row = memory_row(Size(5, 200_000))
    assert 2 <= row["clinic"] <= 5
    assert row["server"] >= 5


def test_the_limit_grows_with_the_keystream() -> None:
    assert limit_seconds(100_000, 8, 3, BLOCK) > 1.5 * limit_seconds(100_000, 2, 3, BLOCK)


def test_secagg_plus_comes_to_the_mean() -> None:
    row = flower_row(4, 300, dropped=1)
    assert (row.get("failed"), row["stopped"]) == (None, "")
    assert row["largest_error"] < 1e-4
    assert row["clinic"] > 0
    assert set(row["clinic_stages"]) == {"setup", "share_keys", "collect_masked_vectors", "unmask"}


def test_who_runs_out_of_time_is_stopped() -> None:
    grid = Clinics(range(2, 4), 10, 0)
    try:
        grid._left["server"] = -1.0
        with pytest.raises(Stopped):
            grid._look()
    finally:
        grid.pool.shutdown()


@pytest.mark.skipif(find_spec("tenseal") is None, reason="tenseal is an optional extra")
def test_ckks_comes_to_the_sum() -> None:
    row = ckks_row(3, 5_000)
    assert row["largest_error"] < 1e-4
    assert row["of_float32"] > 10


def test_keepers_answer_end_to_end() -> None:
    row = keeper_row(2)
    assert row["clinic_wall"] >= row["unmask_wall"] > 0
    assert row["of_float32"] < 1  # packed: smaller than float32


def test_the_targets_are_those_that_were_promised() -> None:
    size = {"of_limit": 0.7, "upload_alone": 0.01, "unmask": 0.001, "unmask_alone": 0.0005}
    ours = {
        s: size
        | {"clinics": s.clinics, "length": s.length, "server_sum": 0.01, "server_alone": 0.02}
        for s in (*(size for size, _ in SIZES), LONE)
    }
    whole = {"clinic": 0.1, "server": 0.3, "stopped": ""}
    cut = {"clinic": 1.8, "server": 60.1, "stopped": "server"}
    theirs = {(10, 1_000_000, 0): whole, (100, 10_000, 0): cut, (100, 100_000, 0): {}}
    made = targets(ours, {"clinic": 2.5}, {"clinic_wall": 0.02}, theirs)
    assert all(target.row()["met"] for target in made)
    bounds = [target for target in made if "at least" in target.what]
    assert [round(target.value) for target in bounds] == [3005]


def test_medians_are_taken_of_numbers_only() -> None:
    rows = [{"what": "x", "n": 3, "s": value} for value in (1.0, 9.0, 2.0)]
    assert median_row(rows) == {"what": "x", "n": 3, "s": 2.0}
    assert median_row([{"s": 1.0}, {"failed": "why"}, {"s": 2.0}]) == {"s": 1.0}
