"""How far a study's approval has come, in words."""

from __future__ import annotations

from cairn_protocol.proto import keeper_pb2 as pb


def approval_words(line: pb.StudyLine) -> str:
    """Who has approved and how many are missing; empty where one person is enough, or it stands."""
    if line.state != "offered" or line.approvals < 2:
        return ""
    missing = line.approvals - len(line.approved_by)
    needed = "one more" if missing == 1 else "two approvals"
    verb = "needed" if missing == 1 else "needed, by two reviewers"
    if not line.approved_by:
        return f"{needed} {verb}"
    return f"approved by {' and '.join(line.approved_by)}, {needed} {verb}"


def decided_by(line: pb.StudyLine) -> str:
    """Whose decision a study stands by: " by anna and bob"; empty where nobody has decided."""
    people = line.approved_by if line.state == "approved" else ()
    named = " and ".join(people) or line.person
    return f" by {named}" if named else ""
