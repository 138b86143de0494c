"""The docs name every setting and every kind, with the defaults that the code has."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from cairn_models.questions import KINDS, build
from cairn_protocol.study import Study

ROOT = Path(__file__).parents[2]
STUDY_FILE = ROOT / "docs" / "study-file.md"
QUESTIONS = ROOT / "docs" / "questions.md"
NOT_IN_THE_FILE = {"source"}  # filled in by the reader, never by a person
TOP = "At the top"


def sections(path: Path) -> dict[str, str]:
    """The page's second-level sections by title, without backticks."""
    parts = re.split(r"^## (.+)$", path.read_text(), flags=re.MULTILINE)
    return {
        title.replace("`", "").strip(): body
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def documented(section: str) -> dict[str, str]:
    """Setting → default, from the section's table."""
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", section, flags=re.MULTILINE))


def part_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, alone or in a tuple, a dict or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, dict, UnionType):
        return next((m for m in map(part_of, get_args(annotation)) if m), None)
    return None


def title_of(field: str, annotation: Any) -> str:
    if get_origin(annotation) is tuple:
        return f"[[{field}]]"
    return f"[{field}.…]" if get_origin(annotation) is dict else f"[{field}]"


def parts_of_the_study() -> dict[str, type[BaseModel]]:
    fields = Study.model_fields.items()
    parts = {title_of(n, f.annotation): part_of(f.annotation) for n, f in fields}
    return {title: model for title, model in parts.items() if model}


def kind_settings(kind: str) -> dict[str, Any]:
    module, _, name = KINDS[kind].partition(":")
    fields = getattr(import_module(module), name).settings_model.model_fields
    return dict(fields)


def agrees(shown: str, field: Any) -> bool:
    """Whether a documented default is the field's; words stand for what is computed."""
    if field.is_required():
        return shown.startswith("required")
    default = field.default
    if default is None or default in ("", (), {}):
        return not shown.startswith("`") or " for " in shown
    if isinstance(default, bool):
        return shown == f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        written = (f'"{x}"' if isinstance(x, str) else f"{x:g}" for x in default)
        return shown == f"`[{', '.join(written)}]`"
    if isinstance(default, str):
        return shown == f'`"{default}"`'
    return float(shown.strip("`")) == float(default)


def test_every_part_of_the_study_has_a_section_and_no_section_is_of_the_past() -> None:
    tables = {title for title in sections(STUDY_FILE) if title.startswith("[")}
    assert tables == set(parts_of_the_study())


@pytest.mark.parametrize("title", [TOP, *parts_of_the_study()])
def test_every_setting_of_the_study_is_documented_with_its_default(title: str) -> None:
    if title == TOP:
        fields = {
            name: field
            for name, field in Study.model_fields.items()
            if not part_of(field.annotation) and name not in NOT_IN_THE_FILE
        }
    else:
        fields = dict(parts_of_the_study()[title].model_fields)
    shown = documented(sections(STUDY_FILE)[title])
    assert set(shown) == set(fields)
    for name, field in fields.items():
        if name != "epsilon":  # required or refused, as the data are
            assert agrees(shown[name], field), f"{name}: {shown[name]}"


def test_every_kind_is_documented_and_named_in_the_study_file() -> None:
    assert set(sections(QUESTIONS)) == set(KINDS)
    said = sections(STUDY_FILE)["[[questions]]"]
    for kind in KINDS:
        assert f"`{kind}`" in said
        assert f"(#{kind})" in QUESTIONS.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_of_a_kind_is_documented_with_its_default(kind: str) -> None:
    shown = documented(sections(QUESTIONS)[kind])
    fields = kind_settings(kind)
    assert set(shown) == set(fields)
    for name, field in fields.items():
        assert agrees(shown[name], field), f"{name}: {shown[name]}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_is_asked_what_leaves_and_how_sure_it_is(kind: str) -> None:
    said = sections(QUESTIONS)[kind]
    for heading in ("**Asked.**", "**Estimand.**", "**What leaves.**", "**Interval.**"):
        assert heading in said


def test_the_complete_example_is_a_study_that_can_be_asked() -> None:
    example = re.findall(r"```toml\n(.*?)```", STUDY_FILE.read_text(), flags=re.DOTALL)
    study = Study.parse(example[0].encode())
    assert study.policy.faults() == []
    for spec in study.questions:
        assert build(spec, study).shape.length > 0


def test_the_smaller_examples_fit_into_a_study() -> None:
    whole, *smaller = re.findall(r"```toml\n(.*?)```", STUDY_FILE.read_text(), flags=re.DOTALL)
    # groups are two halves of three clinics
    whole = re.sub(r"(clinics|survivors|threshold) = 5\n", r"\1 = 6\n", whole)
    for part in smaller:
        Study.parse((whole + "\n" + part).encode())


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"
