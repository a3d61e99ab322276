"""The page for people about a run. Pure."""

from __future__ import annotations

from typing import Any

from benchmarks.chaos import explain

_FAULTS = {
    "controller": "SIGKILL of the controller",
    "store": "SIGKILL of the controller set for the middle of a store write",
    "gateway": "SIGKILL of one of the gateway's Envoys",
    "stable": "SIGKILL of a replica of stable",
    "candidate": "SIGKILL of a replica of the candidate",
    "disk": "the disk full for 0.5 to 5 s",
    "clock": "the clock set by a minute, an hour or a day, forward or back",
}
_UNPLANNED = "waits for a person since nothing could be measured when a step's time was up"


def page(result: dict[str, Any]) -> str:
    """Return the page for people."""
    told = (
        f"`{result['command']}`, {result['at']}, {result['seconds']:.0f} s: {result['rollouts']} rollouts, of which "
        f"{result['good']} with a good candidate, at {result['rate']:g} requests/s, each revision with "
        f"{result['replicas']} replicas, the gateway with {result.get('envoys', 2)} Envoys, on "
        f"{result['machine']['cpus']} cores."
    )
    lines = [
        "# Rollouts under SIGKILL, a full disk and a clock that is set",
        "",
        told,
        "",
        "| What | How many |",
        "|---|---|",
        *(f"| tried: {name} | {count} |" for name, count in sorted(result.get("strategies", {}).items())),
        *(f"| {_FAULTS[kind]} | {count} |" for kind, count in sorted(result["faults"].items())),
        *(f"| ended: {outcome} | {count} |" for outcome, count in sorted(result["outcomes"].items())),
        *([f"| {_UNPLANNED} | {result['unplanned_waits']} |"] if result.get("unplanned_waits") else []),
        f"| rollouts that did not end as they should | {len(result['not_as_it_should'])} |",
        f"| rollouts with a lost or doubled transition | {len(result['doubled_or_lost'])} |",
        f"| requests | {result['requests']:,} |",
        *(f"| failed: {reason} | {count:,} |" for reason, count in sorted(result["failed"].items())),
        f"| failed: {explain.UNEXPLAINED} | {len(result['unexplained'])} |" if not result["unexplained"] else None,
        f"| longest silence after a kill of the gateway | {result['longest_gateway_outage_seconds']:g} s |",
        f"| processes too many when all was over | {len(result['orphans'])} |",
        f"| processes left after `tidegate down` | {len(result['left_after_down'])} |",
        "",
        "As it should be." if result["as_it_should"] else "Not as it should be; chaos.json has the details.",
        "",
        "The disk is a tmpfs under the home. The clock is that of the controller and its replicas, moved by a library",
        "that is preloaded: what they ask of the time of day moves; the kernel's own clock, which dates files, stays.",
    ]
    return "\n".join(line for line in lines if line is not None) + "\n"
