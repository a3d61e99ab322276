"""Write every file that is made from the code: `python -m scripts.generate`; with `--check`, only compare.

To add a file, add its path and a function that returns its text to `GENERATED`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from scripts import pages
from scripts.cli_page import cli_page
from scripts.drift_months import drift_page, drift_picture
from scripts.measured_page import measured_page, store_measured_page
from scripts.mojo_table import mojo_page
from scripts.scan_page import scan_page
from tidegate.contract.schema import SchemaName, build_schema
from tidegate.store.script import sql

ROOT = Path(__file__).resolve().parent.parent

_SCHEMAS = "src/tidegate/contract/schemas"


def schema_text(name: SchemaName) -> str:
    return json.dumps(build_schema(name), indent=2, ensure_ascii=False) + "\n"


#: Path from the root of the repository, and what makes the text.
GENERATED: tuple[tuple[str, Callable[[], str]], ...] = (
    (f"{_SCHEMAS}/deployment-request.schema.json", partial(schema_text, "deployment-request")),
    (f"{_SCHEMAS}/deployment-result.schema.json", partial(schema_text, "deployment-result")),
    (f"{_SCHEMAS}/golden-requests.schema.json", partial(schema_text, "golden-requests")),
    ("docs/reference/request.md", pages.request_page),
    ("docs/reference/result.md", pages.result_page),
    ("docs/reference/golden-requests.md", pages.golden_page),
    ("docs/reference/metrics.md", pages.metrics_page),
    ("docs/reference/alerts.md", pages.alerts_page),
    ("docs/reference/errors.md", pages.errors_page),
    ("docs/reference/cli.md", cli_page),
    ("docs/reference/scan-rules.md", scan_page),
    ("docs/reference/measured.md", measured_page),
    ("docs/reference/store-measured.md", store_measured_page),
    ("docs/how-to/score-a-mojo.md", mojo_page),
    ("stack/warehouse/init.sql", sql),
    ("docs/how-to/detect-drift.md", drift_page),
    ("docs/images/drift-2013.svg", drift_picture),
)


def difference(path: Path, text: str) -> str:
    """Return a unified diff from the file as it is to `text`; empty when they agree."""
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    name = str(path.relative_to(ROOT))
    lines = difflib.unified_diff(
        there.splitlines(keepends=True), text.splitlines(keepends=True), f"{name} (as it is)", f"{name} (generated)"
    )
    return "".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where a file differs")
    check = parser.parse_args().check
    stale = 0
    for name, make in GENERATED:
        path, text = ROOT / name, make()
        changes = difference(path, text)
        if not changes:
            continue
        stale += 1
        if check:
            sys.stderr.write(changes)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    if check and stale:
        sys.stderr.write(f"{stale} generated file(s) differ: run `python -m scripts.generate` and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
