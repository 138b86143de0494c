"""`compare_page`: how this clinic's figures stand beside the pooled ones, as one HTML file.

It needs no other file and no network. It shows this clinic and all clinics together, never another
clinic and never a rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from cairn_client.returned.beside_charts import COLUMNS, charts_of, rows_of
from cairn_client.returned.own import Beside, OwnBeside
from cairn_client.returned.svg import Drawn
from cairn_client.returned.words import CAPTION, SYNTHETIC

STYLE = """
body { margin: 0; color: #18212b; background: #fff; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; } p { max-width: 46rem; } figure { margin: 1rem 0 2rem; }
h2 { font-size: 1.25rem; margin-top: 2.4rem; padding-top: 1rem; border-top: 1px solid #d3d9df; }
.banner { border-left: 5px solid #00609a; background: #f4f6f8; padding: .7rem 1rem; }
.synthetic { border-left: 5px solid #7a3d00; background: #fff3e2; padding: .5rem 1rem; }
.soft { color: #55606c; } .scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #55606c; padding: .2rem 0; }
th, td { text-align: right; vertical-align: top; padding: .25rem .6rem; }
th, td { border-bottom: 1px solid #d3d9df; }
td { white-space: nowrap; } th:first-child { text-align: left; font-weight: normal; }
"""


def compare_page(beside: OwnBeside, clinic: str, made: str) -> str:
    """The page; `made` says when."""
    return "".join(_parts(beside, clinic, made))


def _parts(beside: OwnBeside, clinic: str, made: str) -> Iterator[str]:
    study = beside.pooled.study
    title = f"How {clinic} compares: {study.title}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta http-equiv="Content-Security-Policy" '
    yield "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    yield f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    yield f'<p class="banner"><strong>{escape(CAPTION)}</strong></p>\n'
    if beside.pooled.synthetic:
        yield f'<p class="synthetic"><strong>{escape(SYNTHETIC)}</strong></p>\n'
    yield f'<h1>{escape(title)}</h1>\n<p class="soft">Made {escape(made)}.</p>\n'
    yield (
        "<p>All clinics: the answers that the research team released, with privacy noise. This "
        f"clinic: the same question asked of your own {beside.patients:,} patients in the study's "
        "window, exact, without noise; nobody else has these numbers. Differences may be chance "
        "(look at the intervals), or come from whom a clinic sees. This is no ranking: no other "
        "clinic is shown anywhere.</p>\n"
    )
    for one in beside.answers:
        yield from _answer(one)
    yield "</main>\n</body>\n</html>\n"


def _answer(one: Beside) -> Iterator[str]:
    yield f"<h2>{escape(one.pooled.title)}</h2>\n"
    yield "".join(f"<p>{escape(sentence)}</p>\n" for sentence in one.pooled.sentences)
    if one.without:
        yield f'<p class="soft">No figure of your own: {escape(one.without)}.</p>\n'
    if one.pooled.estimates:
        yield _table("Numbers side by side", COLUMNS, rows_of(one), "")
    for drawn in charts_of(one):
        yield _figure(drawn)
    yield "".join(f'<p class="soft">{escape(note)}</p>\n' for note in one.pooled.notes)


def _figure(drawn: Drawn) -> str:
    table = _table(drawn.title, drawn.columns, drawn.rows, drawn.note)
    return (
        f"<figure>{drawn.svg}<figcaption>{escape(drawn.title)}</figcaption></figure>\n"
        f"<details><summary>The same as a table</summary>{table}</details>\n"
    )


def _table(
    title: str, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], note: str
) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    after = f'<p class="soft">{escape(note)}</p>' if note else ""
    return (
        f'<div class="scroll"><table><caption>{escape(title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{after}\n"
    )
