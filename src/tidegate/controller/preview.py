"""A dry run: all that `deploy` would do and check, and nothing of it done.

`python -m tidegate.controller.preview --home DIR` reads a request document from standard input and prints the preview;
so nothing has to be started for it where no controller runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.artifact.build import BundleInfo
from tidegate.contract.errors import TidegateError
from tidegate.contract.findings import Finding
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller import admission, health_admission, planning, readiness, registering, sizing
from tidegate.controller.admission import Admitted, Refusals
from tidegate.controller.drift.keeping import all_with_kept_references
from tidegate.controller.freezing import Override, refuse_frozen
from tidegate.controller.home import Home
from tidegate.controller.plan_view import freezes_view, judge_view, plan_view
from tidegate.controller.readiness import Surroundings
from tidegate.gate.readiness import refuse_unready, warnings
from tidegate.store import Store
from tidegate.store.place import place_of

#: As folders of bundles are named that are being written: what a killed dry run leaves is swept like these.
_SCRATCH = ".new-dry-run-"
#: Refused before, each in words of its own.
_TOLD_BEFORE = ("other rollout", "freeze", "ports")


async def preview(document: Mapping[str, Any], surroundings: Surroundings, override: Override | None) -> dict[str, Any]:
    """Return what a deployment would do, check and be refused for; leaves nothing behind.

    Keys: `deployment`; `action` ("first", "rollout" or "none", when exactly this serves already); `artifact` (None when
    it was refused), `arms` (of an A/B test that has any, each with its artifact), `contract`, `golden` (None without),
    `readiness`, `freezes` (that hold or will), `plan`, `judge` (None for a first revision), `warnings`, and `refusals`:
    errors in the order in which `deploy` would raise them; empty: it would begin.

    Raises:
        InvalidInput: the document itself is wrong.
    """
    request = parse_request(document)
    now = datetime.now(UTC)
    refusals = Refusals(collect=True)
    admission.refuse_at_first_sight(request, refusals)
    choices: registering.Choices = {}
    with refusals.noted():
        request, choices = registering.pinned(request, surroundings.registry)
    with refusals.noted():
        admission.refuse_second_rollout(request.name, is_active=surroundings.is_active)
    with refusals.noted():
        refuse_frozen(surroundings.freezes, request.name, now, override)
    with refusals.noted():
        await health_admission.refuse_unrunnable(request)
    with refusals.noted():
        refuse_unready(request.name, [await readiness.ports_of(surroundings, request)])
    stable, bundles = surroundings.stable, surroundings.home.bundles
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=bundles if bundles.is_dir() else None) as scratch:
        serving = request.model_artifact
        if request.ab_test.arms and (choices or not serving.is_registered):
            with refusals.noted():
                champion = await admission.bundled(serving, Path(scratch), registering.kept(serving, choices, bundles))
                admission.refuse_other_champion(request, stable, champion)
        found = [
            await admission.admit(
                one,
                stable,
                bundles,
                Path(scratch),
                refusals,
                kept=registering.kept(one.model_artifact, choices, bundles),
            )
            for one in request.candidates
            if choices or not one.model_artifact.is_registered  # else its reference was refused, and is no file
        ]
        admitted = [one for one in found if one is not None]
        with refusals.noted():
            admitted = await health_admission.all_with_kept_goldens(admitted, surroundings.home.golden, write=False)
        with refusals.noted():
            admitted = await all_with_kept_references(admitted, surroundings.home.references, write=False)
        return await _told(request, surroundings, admitted, override, refusals=refusals, now=now)


async def _told(
    request: DeploymentRequest,
    surroundings: Surroundings,
    admitted: Sequence[Admitted],
    override: Override | None,
    *,
    refusals: Refusals,
    now: datetime,
) -> dict[str, Any]:
    stable = surroundings.stable
    findings: tuple[Finding, ...] = ()
    with refusals.noted():
        manifests = [one.info.manifest for one in admitted]
        findings = await readiness.examine(surroundings, request, manifests, override, now)
    is_none = bool(admitted) and admission.has_nothing_to_do(stable, admitted)
    if not is_none:
        with refusals.noted():
            refuse_unready(request.name, [finding for finding in findings if finding.check not in _TOLD_BEFORE])
    action = "none" if is_none else "first" if stable is None else "rollout"
    needed = sizing.stable_needs(request, stable, surroundings.home.bundles)
    short: tuple[str, ...] = ()
    if action == "rollout":
        tried = [one.info.manifest for one in admitted]
        unseen = planning.never_measured_limits(request, stable, needed) if stable is not None else ()
        short = (*unseen, *planning.too_short_steps(request), *sizing.warnings(request, stable, needed, tried))
    comparisons = [one.comparison for one in admitted]
    golden = next((one.golden for one in admitted if one.golden is not None), None)
    artifacts = [_artifact(one.info) for one in admitted]
    heard = dict.fromkeys(warning for one in admitted for warning in one.info.warnings)
    return {
        "deployment": request.name,
        "action": action,
        "stable": stable.number if stable is not None else None,
        "artifact": artifacts[0] if artifacts else None,
        "arms": _arms(request, admitted),
        "contract": {
            "against": stable.number if stable is not None else None,
            "breaking": [str(difference) for found in comparisons for difference in found.breaking],
            "allowed": request.gates.allow_breaking,
            "harmless": [str(difference) for found in comparisons for difference in found.harmless],
            "unknown": next((found.unknown for found in comparisons if found.unknown is not None), None),
        },
        "golden": {"requests": len(golden.golden.requests), "file": request.gates.golden} if golden else None,
        "readiness": [finding.as_dict() for finding in findings],
        "freezes": freezes_view(surroundings.freezes, request.name, now),
        "plan": plan_view(request, stable, needed),
        "judge": judge_view(request, stable, needed) if action == "rollout" else None,
        "warnings": [*heard, *warnings(findings), *short],
        "refusals": [error.as_dict() for error in refusals.found],
    }


def _arms(request: DeploymentRequest, admitted: Sequence[Admitted]) -> list[dict[str, Any]]:
    """Return the challengers of an A/B test with arms, each with its artifact, None where that was refused."""
    by_path = {one.request.model_artifact.path: _artifact(one.info) for one in admitted}
    return [
        {"name": arm.name, "weight": arm.weight, "artifact": by_path.get(arm.model_artifact.path)}
        for arm in request.ab_test.arms
    ]


def _artifact(info: BundleInfo) -> dict[str, Any]:
    manifest = info.manifest
    return {
        "digest": info.digest,
        "runtime": manifest.runtime,
        "format": manifest.format,
        "framework_version": manifest.framework_version,
        "trusted": manifest.trusted,
        "size_bytes": manifest.created_from.size_bytes,
        "memory_bytes": manifest.memory_bytes,
        "cpu_seconds": manifest.cpu_seconds,
        "signature": manifest.signature,
    }


def main() -> int:
    """Print the preview, or `{"error": …}` and end with 1."""
    parser = argparse.ArgumentParser(prog="python -m tidegate.controller.preview", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--override-freeze")
    parser.add_argument("--by", default="somebody")
    given = parser.parse_args()
    override = Override(given.by, given.override_freeze) if given.override_freeze else None
    try:
        document = json.load(sys.stdin)
        told = asyncio.run(_offline(document, Home(given.home), override))
    except TidegateError as error:
        told = {"error": error.as_dict()}
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if "error" in told else 0


async def _offline(document: Mapping[str, Any], home: Home, override: Override | None) -> dict[str, Any]:
    """Preview without a controller; the store is read where there is one, and not made where there is none."""
    address = place_of(home.root)
    store = Store(address) if not isinstance(address, Path) or address.exists() else None
    try:
        surroundings = readiness.around(home, store, None, parse_request(document).name, None)
        return await preview(document, surroundings, override)
    finally:
        if store is not None:
            store.close()


if __name__ == "__main__":
    sys.exit(main())
