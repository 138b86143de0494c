"""`Page`: what an HTML page is made of, and what in it none of the clinic's pages may hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser

LOCAL = re.compile(r"(/(?!/)|#|\?)")


class Page(HTMLParser):
    """What a page is made of, as far as the tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.faults: list[str] = []
        self.labelled: set[str] = set()
        self.fields: list[str] = []
        self.lang = self.title = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self._in = tag
        for name, value in given.items():
            if name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
                self.addresses.append(value)
                if not LOCAL.match(value):
                    self.faults.append(f"{name}={value}")
            elif name == "style" or name.startswith("on") or name.startswith("hx-on"):
                self.faults.append(name)
            elif "://" in value:
                self.faults.append(f"{name}={value}")
        if tag in ("style", "iframe", "object", "embed", "base"):
            self.faults.append(tag)
        if tag == "script" and given != {"src": "/static/htmx.min.js", "defer": ""}:
            self.faults.append("script")
        if tag == "html":
            self.lang = given.get("lang", "")
        if tag == "label":
            self.labelled.add(given.get("for", ""))
        if tag in ("input", "select", "textarea") and given.get("type") != "hidden":
            self.fields.append(given.get("id", ""))

    def handle_data(self, data: str) -> None:
        if self._in == "title" and not self.title:
            self.title = data
        self._in = ""
