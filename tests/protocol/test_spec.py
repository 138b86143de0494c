"""SPEC.md and the code say the same: wire formats, kinds, refusal codes, rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import cairn_protocol
from cairn_protocol.clinic_run import __doc__ as rule_book
from cairn_protocol.codec import Blob, Field, Fixed, Indices, Real, Text, UInt
from cairn_protocol.context import LARGEST_ATTEMPT, Context
from cairn_protocol.fixed_point import RINGS
from cairn_protocol.identity import Label
from cairn_protocol.mark import Mark
from cairn_protocol.member_list import Listed, MemberList
from cairn_protocol.messages import (
    KINDS,
    LARGEST_MESSAGE,
    AuditReceipt,
    FoundFile,
    Header,
    Note,
    RoundRecord,
    SignedConsent,
    SignedDigest,
)
from cairn_protocol.progress import Progress
from cairn_protocol.record import Many, Nested, layout
from cairn_protocol.roster import Roster, RosterEntry, SignedRoster
from cairn_protocol.signed_study import SignedStudy

PACKAGE = Path(cairn_protocol.__file__).parent
SPEC = (PACKAGE.parent / "SPEC.md").read_text(encoding="utf-8")
PARTS = (
    *(SignedStudy, RosterEntry, Roster, SignedRoster, Mark, Note),
    *(Header, SignedDigest, SignedConsent, RoundRecord),
    *(Context, Progress, Listed, MemberList, FoundFile, AuditReceipt),
)
# No part of the wire protocol:
ELSEWHERE = {"errors.py", "study.py", "policy.py", "groups.py", "envelope.py"}


def in_words(field: Field) -> str:
    """A codec as section 2.2 names it."""
    match field:
        case UInt(size):
            return f"u{8 * size}"
        case Fixed(size):
            return f"{size} bytes"
        case Blob(most):
            return f"bytes ≤ {most}"
        case Text(most):
            return f"text ≤ {most}"
        case Real():
            return "f64"
        case Indices(most):
            return f"ascending u16 × ≤ {most}"
        case Nested(cls):
            return cls.__name__
        case Many(cls, most):
            return f"{cls.__name__} × ≤ {most}"
    raise AssertionError(field)


def test_the_wire_formats_are_those_of_section_5():
    section = SPEC.split("| record | field | encoding |")[1].split("\n\n")[0]
    printed = re.findall(r"^\| (\w+) \| (\w+) \| (.+) \|$", section, re.M)
    coded = [
        (cls.__name__, name, in_words(field))
        for cls in (*KINDS.values(), *PARTS)
        for name, field in layout(cls).items()
    ]
    assert printed == coded


def test_the_kinds_are_those_of_section_5():
    section = SPEC.split("| message | kind |")[1].split("\n\n")[0]
    printed = re.findall(r"^\| (\w+) \| (\d+) \|$", section, re.M)
    assert printed == [(cls.__name__, str(kind)) for kind, cls in KINDS.items()]


def test_the_refusal_codes_are_those_of_section_13():
    section = SPEC.split("## 13")[1].split("## 14")[0]
    printed = {code.split(".")[1] for code in re.findall(r"`((?:\w+)\.[a-z0-9-]+)`", section)}
    source = "".join(p.read_text() for p in PACKAGE.glob("*.py") if p.name not in ELSEWHERE)
    coded = set(re.findall(r'refuse\(\s*"([a-z0-9-]+)"', source))
    coded |= set(re.findall(r'code="([a-z0-9-]+)"', source))
    coded |= set(re.findall(r'_signed\(reply, "[a-z ]+", "([a-z-]+)"', source))
    assert printed == coded


def test_the_rules_are_those_of_section_12():
    printed = dict(re.findall(r"^\| (R\d+) \| .+ \| (`.+`) \|$", SPEC, re.M))
    assert list(printed) == [f"R{number}" for number in range(1, len(printed) + 1)]
    assert set(printed) == set(re.findall(r"\bR\d+\b", rule_book or ""))
    for rule, modules in printed.items():
        for module in re.findall(r"`(\w+)`", modules):
            source = (PACKAGE / f"{module}.py").read_text()
            assert re.search(rf"\b{rule}\b", source), f"{module} does not cite {rule}"


def test_every_citation_is_of_a_section_that_exists():
    sections = set(re.findall(r"^(?:## |### |)(\d+(?:\.\d+)?) ", SPEC, re.M))
    for path in PACKAGE.glob("*.py"):
        for cited in re.findall(r"SPEC (\d+(?:\.\d+)?)", path.read_text()):
            assert cited in sections, f"{path.name} cites section {cited}"


def test_the_purposes_of_signatures_are_those_of_section_3():
    section = SPEC.split("3.1 ")[1].split("3.2 ")[0].split("purposes")[1]
    assert set(re.findall(r"`([a-z ]+)`", section)) == set(get_args(Label))


def test_the_limits_are_those_of_the_code():
    assert f"at most {LARGEST_MESSAGE} bytes" in SPEC
    assert f"`attempt` is above {LARGEST_ATTEMPT};" in SPEC
    assert f"w is {', '.join(map(str, RINGS[:-1]))} or {RINGS[-1]}:" in SPEC


def test_every_code_is_tested():
    tests = [p for p in Path(__file__).parent.glob("test_*.py") if p != Path(__file__)]
    vectors = (PACKAGE.parent / "vectors").glob("*.json")
    text = "".join(path.read_text(encoding="utf-8") for path in (*tests, *vectors))
    section = SPEC.split("## 13")[1].split("## 14")[0]
    codes = set(re.findall(r"`(?:\w+)\.([a-z0-9-]+)`", section))
    assert sorted(code for code in codes if code not in text) == []
