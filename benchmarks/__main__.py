"""`make bench NAME=…`: run one benchmark; its last line of output is its JSON."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(p.stem.removeprefix("bench_") for p in HERE.glob("bench_*.py"))


def main(argv: list[str]) -> int:
    """Run the benchmark named in `argv`; list them if there is none of that name."""
    if len(argv) != 1 or argv[0] not in NAMES:
        print("usage: make bench NAME=" + "|".join(NAMES), file=sys.stderr)
        return 2
    print(import_module(f"benchmarks.bench_{argv[0]}").main().line())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
