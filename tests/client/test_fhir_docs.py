"""docs/clinic-fhir.md lists every setting, code and unit, and its example is a valid mapping."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cairn_client.readers.fhir.codes import (
    PANELS,
    SENSITIVE,
    SNOMED_TOTALS,
    TOTALS,
    UNITS,
    WEARABLES,
)
from cairn_client.readers.fhir.mapping import Fhir
from cairn_client.readers.mapping import ClinicMapping, known_instruments

PAGE = (Path(__file__).parents[2] / "docs" / "clinic-fhir.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", Fhir.model_fields)
def test_every_setting_is_explained(setting: str) -> None:
    assert re.search(rf"^\| `(\[fhir\.)?{setting}\]?` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("code", [*TOTALS, *PANELS, *SNOMED_TOTALS, *WEARABLES])
def test_every_code_is_named(code: str) -> None:
    assert re.search(rf"\b{code}\b", PAGE)


def test_every_label_is_named() -> None:
    assert {label for label in SENSITIVE if f"`{label}`" not in PAGE} <= {"42CFRPart2CD"}


@pytest.mark.parametrize("measure", UNITS)
def test_a_common_unit_of_each_measure_is_named(measure: str) -> None:
    assert any(f"`{unit}`" in PAGE for unit in UNITS[measure])


def test_the_example_is_a_mapping(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mapping.toml").write_text(text, encoding="utf-8")
    mapping = ClinicMapping.parse(tmp_path)
    assert mapping.named_instruments() <= set(known_instruments(()))
    assert mapping.fhir is not None
    assert mapping.fhir.arms["app+coach"] == "dmhi_guided"
