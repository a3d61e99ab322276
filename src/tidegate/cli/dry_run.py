"""`tidegate deploy --dry-run`: asks the controller where one runs, else a process that ends with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.cli.exits import ExitCode, exit_code_of
from tidegate.cli.output import Output, error_lines, note, print_json, say
from tidegate.cli.preview import preview_lines
from tidegate.client import Client
from tidegate.client.http import error_from
from tidegate.controller import launch


def dry_run_of(home: Path, request: Mapping[str, Any], override_freeze: str | None, by: str, output: Output) -> int:
    """Say what a deployment would do; the exit code is that with which `deploy` would refuse it, else 0."""
    if launch.running(home) is None:
        preview = launch.dry_run(home, request, override_freeze, by)
    else:
        with Client.connect(home) as client:
            preview = client.preview(request, override_freeze=override_freeze, by=by)
    errors = [error_from(400, {"error": refusal}) for refusal in preview["refusals"]]
    told = [line for error in errors for line in error_lines(error)]
    if output is Output.JSON:
        note(*told)
        print_json({"error": errors[0].as_dict(), "preview": preview} if errors else preview)
    else:
        say(*preview_lines(preview), *(f"  {line}" for line in told))
    return exit_code_of(errors[0]) if errors else ExitCode.OK
