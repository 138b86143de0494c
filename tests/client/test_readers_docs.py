"""docs/clinic-data.md: its example works, and it lists every setting and every finding."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cairn_client.readers import FAULTS, ClinicMapping, read_clinic
from cairn_client.readers.mapping import Engagement, Patients, Scores, Wearables

PAGE = (Path(__file__).parents[2] / "docs" / "clinic-data.md").read_text(encoding="utf-8")


def test_the_example_reads_as_the_page_says(tmp_path: Path) -> None:
    tables = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    mapping, _ = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    for name, text in (("scores.csv", tables[0]), ("patients.csv", tables[1])):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "mapping.toml").write_text(mapping, encoding="utf-8")
    imported = read_clinic(tmp_path)
    assert imported.findings == ()
    assert imported.records.scores.rows() == [
        ("a-001", 1.0, "PHQ-9", 17.0),
        ("a-001", 3.0, "PHQ-9", 14.0),
        ("a-002", 1.0, "GAD-7", 12.0),
    ]
    assert imported.records.patients["arm"].to_list() == ["waiting", "dmhi_guided"]


def test_the_wide_example_reads_as_the_page_says(tmp_path: Path) -> None:
    _, wide = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mapping.toml").write_text("cairn = 1\n" + wide, encoding="utf-8")
    (tmp_path / "people.csv").write_text("Pat-Nr,phq9_t0,phq9_t1\na-001,17,9\na-002,12,\n")
    imported = read_clinic(tmp_path)
    assert imported.findings == ()
    assert imported.records.scores.rows() == [
        ("a-001", 0.0, "PHQ-9", 17.0),
        ("a-001", 8.0, "PHQ-9", 9.0),
        ("a-002", 0.0, "PHQ-9", 12.0),
    ]


@pytest.mark.parametrize("code", FAULTS)
def test_every_finding_is_explained_with_its_remedy(code: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{code}` |")]
    assert len(row.split(" | ")) == 3
    assert ("noted" in row) is not FAULTS[code].quarantined


@pytest.mark.parametrize("model", [ClinicMapping, Scores, Patients, Engagement, Wearables])
def test_every_setting_is_explained(model: type) -> None:
    for setting in model.model_fields:  # type: ignore[attr-defined]
        assert re.search(rf"`(\[?\w+\.)?{setting}\]?`|`\[{setting}\]`", PAGE), setting
