"""What a clinic's commands print: a study to decide on, the offers, how the clinic stands."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cairn_app.approval_text import approval_words, decided_by
from cairn_client.link_report import LinkStanding
from cairn_protocol.proto import keeper_pb2 as pb

WIDTH: Final = 96
SHORT: Final = 12  # characters of a digest that a person sees
MOST_NAMES: Final = 12
STALE_SECONDS: Final = 60.0
STAYS: Final = (
    "No record, name, date or score of a patient leaves, and no exact count of patients. What "
    "leaves are sums over this clinic's patients, to which this clinic adds random noise itself. "
    "They are masked: of {clinics} clinics the server can read the sum, never this clinic's own."
)
PUBLIC: Final = (
    "Sums over this clinic's records leave exactly, without noise: the study says that its data "
    "are public. They are masked: of {clinics} clinics the server can read the sum."
)
AGREED: Final = (
    "Whoever approves can pause the study or leave it at any time, without asking anybody. What "
    "has left by then cannot be called back, and its cost stays spent."
)


def study_text(view: pb.StudyView) -> str:
    """A study in plain words: who asks, what, what it costs, who takes part, what leaves."""
    parts = [
        _title(view),
        _wrapped(view.purpose),
        "\n".join(_who(view)),
        "\n".join(_what_leaves(view)),
        "\n".join(_cost(view)),
        "\n".join(_roster(view)),
        "\n".join(_standing(view)),
    ]
    return "\n\n".join(part for part in parts if part)


def offers_text(studies: list[pb.StudyLine]) -> str:
    """One line a study."""
    if not studies:
        return "No study was offered to this clinic yet."
    rows = [
        (line.digest[:SHORT], line.name, line.state, when(line.offered_at), line.title)
        for line in studies
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    listed = []
    for row, line in zip(rows, studies, strict=True):
        cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=False))
        listed.append("  ".join((*cells, row[4])))
        if line.state in ("offered", "approved"):
            listed.extend(indented(verified_words(line), indent=" " * (SHORT + 2)))
            listed.extend(indented(approval_words(line), indent=" " * (SHORT + 2)))
    return "\n".join(listed)


def verified_words(line: pb.StudyLine) -> str:
    """How many of a study's clinics are verified here; empty where that does not matter."""
    if not line.needed:
        return ""
    words = f"{line.verified} of {line.members} verified, {line.needed} needed"
    missing = ", ".join(line.unverified[:MOST_NAMES])
    if len(line.unverified) > MOST_NAMES:
        missing += f" and {len(line.unverified) - MOST_NAMES} more"
    return f"{words}; these are not: {missing}" if missing else words


def status_text(status: pb.StatusReply, link: LinkStanding | None) -> str:
    """How the clinic stands, for a person."""
    team = status.team_fingerprint or "none yet; join with `cairn clinic join`"
    lines = [
        f"{status.clinic} ({status.data}), Cairn {status.version}",
        f"  fingerprint  {status.fingerprint}",
        f"  team         {team}",
        f"  keeper       runs since {when(status.started_at)}, boot {status.epoch}",
        *([f"  STOPPED      {status.stopped}"] if status.stopped else []),
        *link_lines(link),
        *(f"  registry     {registry}" for registry in status.registries),
        f"  last round   {_last(status)}",
        *_budget(status),
        "",
        offers_text(list(status.studies)),
    ]
    return "\n".join(lines)


def link_lines(link: LinkStanding | None) -> Iterator[str]:
    """The connection, in the link's own word."""
    if link is None or link.state == "stopped" or not link.alive:
        yield "  link         does not run; start it with `cairn clinic run`"
        return
    ago = f"last answer {_ago(link.contact)}" if link.contact else "no answer yet"
    late = link.state == "connected" and time.time() - link.contact > STALE_SECONDS
    yield f"  link         {'silent' if late else link.state}, {link.server}, {ago}"
    if link.trouble:
        yield from indented(f"{link.trouble} [{link.code}]")
        yield from indented(f"hint: {link.hint}")


def when(seconds: int) -> str:
    """A time, UTC, to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}" if seconds else "never"


def _title(view: pb.StudyView) -> str:
    mark = " (synthetic patients, not real people)" if view.synthetic else ""
    return f"{view.line.title}{mark}\n{view.line.name}, digest {view.line.digest}"


def _who(view: pb.StudyView) -> Iterator[str]:
    yield "Who asks"
    yield f"  {view.team or 'a research team that does not name itself'}"
    yield f"  its fingerprint: {view.team_fingerprint}"


def _what_leaves(view: pb.StudyView) -> Iterator[str]:
    yield "What is asked, and what leaves this clinic"
    text = STAYS if view.noised else PUBLIC
    yield from indented(text.format(clinics=len(view.roster)), indent="  ")
    for q in view.questions:
        yield f"  {q.name}" if q.name == q.kind else f"  {q.name} ({q.kind})"
        yield from indented(f"{q.asked} {q.who}".strip())
        yield from indented(_sums(view, q))
    if view.questions:
        looks = f"cairn clinic preview {view.line.name}"
        yield f"  Number by number, and what your own patients would add: {looks}"


def _sums(view: pb.StudyView, q: pb.QuestionView) -> str:
    numbers = "1 number leaves" if q.values == 1 else f"{q.values:,} numbers leave"
    rounds = "once" if q.rounds == 1 else f"in each of {q.rounds} rounds"
    if not view.noised:
        return f"{numbers}, {rounds}."
    alone = "it" if q.values == 1 else "each number"
    return (
        f"{numbers}, {rounds}. Any one patient can move them by at most {q.bound:.4g}, all taken "
        f"together; this clinic's own noise moves {alone} by some {q.noise_sd:.4g}, that of all "
        f"clinics by {q.sum_noise_sd:.4g} (standard deviations)."
    )


def _cost(view: pb.StudyView) -> Iterator[str]:
    if not view.noised:
        return
    most = f"ε = {view.epsilon:.3g} at δ = {view.delta:g}"
    yield f"What it costs a patient's privacy, at most: {most}"
    for sentence in view.meaning:
        yield from indented(sentence, indent="  ")
    yield from indented(f"Whom it is charged to: {view.admits}.", indent="  ")
    if view.HasField("budget"):
        left = view.budget
        yield from indented(
            f"Of their budget, ε = {left.spent_epsilon:.3g} of {left.cap_epsilon:.3g} was spent by "
            f"all studies so far; {100 * left.left_share:.0f} % is left.",
            indent="  ",
        )


def _roster(view: pb.StudyView) -> Iterator[str]:
    yield f"Who takes part (roster {view.roster_digest[:SHORT]}, version {view.roster_version})"
    width = max((len(member.clinic) for member in view.roster), default=0)
    for member in view.roster:
        how = "this clinic" if member.ours else member.verified or "not verified"
        mark = f"  {how}" if view.noised or member.ours else ""
        yield f"  {member.clinic:{width}}  {member.fingerprint}{mark}"
    if view.noised:
        yield from indented(verified_words(view.line), indent="  ")
        together = "1 clinic works" if view.colluding == 1 else f"{view.colluding} clinics work"
        yield from indented(f"The noise holds even if {together} with the server.", indent="  ")


def _standing(view: pb.StudyView) -> Iterator[str]:
    line = view.line
    by = f"{decided_by(line)} on {when(line.decided_at)}" if line.decided_at else ""
    words = approval_words(line)
    yield f"How it stands here: {line.state}{f'; {words}' if words else by}"
    if line.state in ("offered", "approved"):
        yield from indented(AGREED, indent="  ")
    if view.obstacle:
        yield from indented(f"This clinic could not answer it: {view.obstacle}", indent="  ")
    if view.remedy:
        yield from indented(f"hint: {view.remedy}", indent="  ")


def _last(status: pb.StatusReply) -> str:
    if not status.HasField("last"):
        return "none yet"
    last = status.last
    name = next((s.name for s in status.studies if s.digest == last.study), last.study[:SHORT])
    if not last.question:
        return f"{name}: keys were agreed, {when(last.at)}"
    how = "answered" if last.answered else "begun, not answered"
    attempt = f", attempt {last.attempt + 1}" if last.attempt else ""
    return f"{name}: {last.question}, round {last.round + 1}{attempt}, {how}, {when(last.at)}"


def _budget(status: pb.StatusReply) -> Iterator[str]:
    if not status.HasField("budget"):
        yield "  budget       nothing was charged yet"
        return
    b = status.budget
    yield (
        f"  budget       ε = {b.spent_epsilon:.3g} of {b.cap_epsilon:.3g} spent (δ = {b.delta:g}), "
        f"{100 * b.left_share:.0f} % left for the patients who were charged most, "
        f"{b.releases} answers; see cairn clinic ledger"
    )


def _ago(at: float) -> str:
    seconds = max(0, int(time.time() - at))
    return f"{seconds} s ago" if seconds < 120 else f"{seconds // 60} min ago"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH) if text else ""


def indented(text: str, *, indent: str = "      ") -> list[str]:
    """`text` in lines of `WIDTH`, all indented."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
