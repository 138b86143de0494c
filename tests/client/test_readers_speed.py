"""A million scores within ten seconds and a gibibyte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clinic_files import write_folder

READ = """
import resource, sys, time
from pathlib import Path
from cairn_client.readers import read_clinic
began = time.process_time()
imported = read_clinic(Path(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(imported.records.scores.height, time.process_time() - began, peak)
"""
MAPPING = """\
cairn = 1
[scores]
file = "scores.csv"
patient = "patient"
week = "week"
instrument = "instrument"
value = "value"
"""


@pytest.mark.soak
@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
def test_a_million_scores(quote: str, tmp_path: Path) -> None:
    end = f"{quote},{quote}"
    rows = (
        quote + end.join((f"P{i // 20}", str(i % 20), "PHQ-9", str(i * 7 % 28), "a note")) + quote
        for i in range(1_000_000)
    )
    text = "patient,week,instrument,value,note\n" + "\n".join(rows)
    write_folder(tmp_path, MAPPING, scores=text)
    ran = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], check=True, capture_output=True, text=True
    )
    height, seconds, peak_mib = map(float, ran.stdout.split())
    assert height == 1_000_000
    assert seconds < 10
    assert peak_mib < 1024
