"""Readiness: what a statistician would want to know of a clinic's data before a study asks.

    facts = readiness("oak", "patients", clinic.read(), studies, date.today())
    write_readiness(facts, Path("data.html"))

For the clinic alone: it shows exact counts of its own patients. It names no patient; rows are named
by file and line.
"""

from cairn_client.readiness.facts import Readiness, readiness
from cairn_client.readiness.page import readiness_page, write_readiness

__all__ = ["Readiness", "readiness", "readiness_page", "write_readiness"]
