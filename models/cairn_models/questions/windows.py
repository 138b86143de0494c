"""`check_baseline`: the rule of every window in which a question looks for a baseline."""

from __future__ import annotations


def check_baseline(
    window: tuple[float, float], *, before: float | None, what: str = "week − window"
) -> None:
    """Passes where `window` is in order and ends `before` the first time of an outcome.

    Args:
        window: first and last time at which a baseline may have been taken.
        before: None where no score could be both.
        what: how the settings give `before`.

    Raises:
        ValueError: in words for the study's author; a settings model makes an `InputError` of it.
    """
    first, last = window
    if not first <= last:
        raise ValueError("baseline_window: its start must not be after its end")
    if before is not None and last >= before:
        raise ValueError(f"baseline_window: it must end before {what}, so that no score is both")
