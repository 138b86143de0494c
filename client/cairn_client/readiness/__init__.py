"""Readiness: what a statistician would want to know of a clinic's data before a study asks.

    write_readiness(clinic, clinic.read(), Path("data.html"), studies)

The page is for the clinic alone: it shows exact counts of its own patients. It names no patient;
rows are named by file and line.
"""

from cairn_client.readiness.page import write_readiness

__all__ = ["write_readiness"]
