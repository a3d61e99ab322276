"""The Dockerfile that comes with Tidegate: its defaults, and that it says what the stack's says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.dockerfile.model import Dockerfile, read_dockerfile
from tidegate.packing.recipe import defaults, with_defaults
from tidegate.scan import Severity, WithHadolint, scan

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "src/tidegate/packing/Dockerfile"
STACK = ROOT / "stack/docker/Dockerfile.api"


def test_defaults_are_replaced_and_nothing_else() -> None:
    text = "ARG A=1\nFROM $A\nARG B\n# ARG C=3\nARG D=4\n"
    assert defaults(text) == {"A": "1", "D": "4"}
    assert with_defaults(text, {"A": r"x\1"}) == text.replace("A=1", r"A=x\1")
    with pytest.raises(KeyError):
        with_defaults(text, {"B": "2"})


def test_nothing_is_found_in_it_but_that_its_tag_is_no_digest() -> None:
    report = scan([OWN], with_hadolint=WithHadolint.REQUIRE)
    assert {(one.rule, one.severity) for one in report.findings} == {("image-digest", Severity.INFO)}


def said(file: Dockerfile, keyword: str) -> list[str]:
    """Return what the final stage says with a keyword, its spaces made one."""
    assert file.final is not None
    return [" ".join(one.text.split()) for one in file.final.body if one.keyword == keyword]


def variables(file: Dockerfile) -> dict[str, str | None]:
    assert file.final is not None
    return {name: value for one in file.final.body if one.keyword == "ENV" for name, value, _ in one.pairs}


def test_it_and_the_image_of_the_stack_say_the_same() -> None:
    own, stack = (read_dockerfile(path.read_text(encoding="utf-8")) for path in (OWN, STACK))
    assert (
        defaults(OWN.read_text(encoding="utf-8"))["PYTHON_IMAGE"]
        == defaults(STACK.read_text(encoding="utf-8"))["PYTHON_IMAGE"]
    )
    assert [stage.base for stage in own.stages] == [stage.base for stage in stack.stages]
    assert said(own, "USER") == said(stack, "USER") == ["10001:10001"]
    assert said(own, "WORKDIR") == said(stack, "WORKDIR")
    (own_run,), (stack_run,) = said(own, "RUN"), said(stack, "RUN")
    assert stack_run.startswith(own_run), "the stack's has one folder more"
    mine = variables(own)
    assert {name: mine[name] for name in mine if not name.startswith("TIDEGATE_MODEL")} == {
        name: value for name, value in variables(stack).items() if name != "TIDEGATE_HOME"
    }
    for file in (own, stack):
        (entrypoint,) = (one for one in file.shipped[-1].body if one.keyword == "ENTRYPOINT")
        assert (entrypoint.json or ())[:2] == ("tini", "--")
