"""What stands on every page about what came back."""

from __future__ import annotations

from typing import Final

CAPTION: Final = (
    "Research use only, and for this clinic alone. Not a basis for a decision about any person's "
    "care, and never to be sent on."
)
SYNTHETIC: Final = "Synthetic data: these patients are made up."
NINE: Final = (
    "An answer above 0 to PHQ-9 item 9 was recorded. Follow your clinic's procedure for risk to "
    "life. Where this line is missing it means nothing: a 0 is never reassuring, and is not shown."
)


def caption(*, synthetic: bool) -> str:
    """The caption; it says where people are made up."""
    return f"{CAPTION} {SYNTHETIC}" if synthetic else CAPTION
