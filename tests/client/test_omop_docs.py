"""docs/clinic-omop.md: its example is a mapping, and it lists every setting and every refusal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cairn_client.readers.mapping import ClinicMapping
from cairn_client.readers.omop.mapping import Omop
from cairn_client.readers.omop.schema import EVENTS
from cairn_protocol.study import parse_toml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clinic-omop.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "client" / "cairn_client" / "readers" / "omop").glob("*.py"))


def test_the_example_is_a_mapping() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    mapping = parse_toml(ClinicMapping, example.encode(), where="the page")
    assert mapping.omop is not None
    assert mapping.omop.entry is not None


@pytest.mark.parametrize("setting", Omop.model_fields)
def test_every_setting_is_explained_with_its_default(setting: str) -> None:
    field = Omop.model_fields[setting]
    (row,) = [r for r in PAGE.splitlines() if r.startswith(f"| `{field.alias or setting}` |")]
    if isinstance(field.default, bool | int):
        assert row.endswith(f"| `{str(field.default).lower()}` |")


def test_every_refusal_is_explained() -> None:
    raised = set()
    for source in SOURCES:
        text = source.read_text()
        raised |= set(re.findall(r'code="(omop-[a-z-]+)"', text))
        raised |= {f"omop-{word}" for word in re.findall(r'\("(refused|time)",', text)}
    assert len(raised) > 10
    assert {code for code in raised if f"`input.{code}`" not in PAGE} == set()


def test_every_table_of_events_is_named() -> None:
    for table in EVENTS:
        assert f"`{table}`" in PAGE
