"""`python -m tests.bench [PART]...`: what Sallyport costs, on the loopback only.

Each part prints a table and writes `.test/bench/<part>.json`. Without names all parts run, one after the other, each in
a process of its own. `--quick` makes everything small: to see that it works, not to quote.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys

from tests.bench import report, scratch

RUNNING, STORED = ("latency", "throughput", "leaving"), ("change", "pages", "scim", "engine", "akamai-week", "rulebase")
PARTS = ("latency", "change", "pages", "throughput", "leaving", "scim", "engine", "akamai-week", "rulebase")
"""The first kind starts a whole demo; the second works in databases of its own, and imports models, so comes late."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)}; none means all")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"There is no {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}.")
    if len(arguments.parts) == 1:
        run(arguments.parts[0], quick=arguments.quick)
        return 0
    return max(_apart(part, arguments.quick) for part in arguments.parts or PARTS)


def run(part: str, *, quick: bool) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings.test")
    os.environ.setdefault("SALLYPORT_LOG_LEVEL", "ERROR")
    report.begin(part)
    if part in RUNNING:
        importlib.import_module(f"tests.bench.{part}").main(quick=quick)
        return
    with scratch.databases() as databases:
        importlib.import_module(f"tests.bench.{part.replace('-', '_')}").main(databases, quick=quick)


def _apart(part: str, quick: bool) -> int:
    return subprocess.call([sys.executable, "-m", "tests.bench", part, *(["--quick"] if quick else [])])


if __name__ == "__main__":
    sys.exit(main())
