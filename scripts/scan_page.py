"""The reference page of `tidegate scan`, made from its rules."""

from __future__ import annotations

from scripts.pages import page, table
from tidegate.scan.hadolint import LEFT_OUT
from tidegate.scan.records import Rule
from tidegate.scan.rules.catalogue import COVERED, RULES


def scan_page() -> str:
    return page(
        "Rules of the scanner",
        """
        What `tidegate scan` looks for by itself, beside hadolint's rules. [How to scan](../how-to/scan-dockerfiles.md)
        says how a rule is ignored. An `error` lets somebody in or breaks what runs, a `warning` makes that easier or
        hides it, and `info` is good practice.
        """,
        table(
            ("Rule", "Severity", "Hits where"),
            ((f"[`{rule.id}`](#{rule.id})", str(rule.severity), rule.title) for rule in RULES),
        ),
        *(part for rule in RULES for part in _section(rule)),
        "## Left out of hadolint's rules",
        f"""
        Said by rules of Tidegate's own: {", ".join(f"`{code}`" for code in sorted(COVERED))}. Not told, since well-made
        files break them:
        """,
        table(("Code", "Why"), ((f"`{code}`", why) for code, why in LEFT_OUT.items())),
    )


def _section(rule: Rule) -> tuple[str, ...]:
    return (f"## {rule.id}", f"*{rule.severity}.* {rule.title}", rule.why)
