"""The record of well-made public Dockerfiles: whole, and of rules that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tidegate.scan.hadolint import LEFT_OUT
from tidegate.scan.rules.catalogue import COVERED, IDS

RECORD: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "public.yaml").read_text(encoding="utf-8"))
FILES: list[dict[str, Any]] = RECORD["files"]


def rules_of(kind: str) -> set[str]:
    return {rule for file in FILES for rule in file.get(kind, {})}


def test_forty_files_of_different_projects_are_named_by_their_commits() -> None:
    assert len({(file["repository"], file["path"]) for file in FILES}) == len(FILES) >= 40
    assert len({file["repository"] for file in FILES}) >= 25
    assert all(re.fullmatch("[0-9a-f]{40}", file["commit"]) for file in FILES)


def test_each_rule_that_is_found_has_its_verdict_and_is_still_told() -> None:
    assert rules_of("found") == set(RECORD["verdicts"])
    told = {rule for rule in rules_of("found") if rule in IDS or re.fullmatch(r"(DL|SC)\d{4}", rule)}
    assert told == rules_of("found")
    assert not told & (set(LEFT_OUT) | COVERED)


def test_what_was_mended_is_not_found_at_the_same_line() -> None:
    for file in FILES:
        for rule, lines in file.get("mended", {}).items():
            assert not set(lines) & set(file["found"].get(rule, [])), file["path"]
