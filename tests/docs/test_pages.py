"""What the pages name exists: pages, headings, commands, options, codes, metrics, fields."""

from __future__ import annotations

import ast
import configparser
import json
import re
from functools import cache
from typing import Any

import pytest
import typer
import yaml

from tests.docs.pages import DOCS, ROOT, Block, Page, all_pages, command_lines, read
from tests.support.commands import commands
from tests.support.debian_postgresql import PARTMAN_VARIABLE
from tests.support.postgresql import VARIABLE as TEST_VARIABLE
from tidegate.cli.exits import ExitCode
from tidegate.contract import errors
from tidegate.contract.request import parse_request
from tidegate.gateway.process import PARENT_VARIABLE
from tidegate.observe.catalogue import metric_names
from tidegate.runtime.mojo.kernel_library import VARIABLE as LIBRARY_VARIABLE
from tidegate.store.definition import ROLES
from tidegate.target.process import CACHE_URL_VARIABLE, KEY_VARIABLE, SERVING_STORE_VARIABLE, STORE_VARIABLE
from tidegate_pipeline.__main__ import TOKEN_FILE, app
from tidegate_pipeline.calling import PLACES, PYTHON
from tidegate_pipeline.outcomes import Outcome

PAGES = all_pages()
#: What a block of shell is called. In `console` the lines that were typed begin with "$ ".
SHELLS = ("bash", "console")
#: Whom the pages may send a reader to, beside this machine.
HOSTS = {
    *("127.0.0.1", "arxiv.org", "doi.org", "docs.astral.sh", "github.com", "keepachangelog.com", "semver.org"),
    *("example.com", "json-schema.org", "grafana.com", "kubernetes.io", "prometheus.io", "www.envoyproxy.io"),
}
#: Written from the code by scripts/generate.py, whose own check compares them.
GENERATED = DOCS / "reference"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def options() -> frozenset[str]:
    """Return the options of `tidegate` and of all its commands."""
    root = commands()
    return frozenset(_options(root).union(*(_options(command) for command in root.commands.values())))


def blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in page.blocks(*languages)]


def test_no_message_of_a_diagram_is_ended_by_a_semicolon_in_its_words() -> None:
    diagrams = [block.text for block in blocks("mermaid") if block.text.lstrip().startswith("sequenceDiagram")]
    assert diagrams
    assert [line for text in diagrams for line in text.splitlines() if ";" in line] == []


@pages
def test_links_between_pages_lead_somewhere(page: Page) -> None:
    for link in page.links():
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        file, _, fragment = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), f"{page.name} links to {link}"
        if fragment and target.suffix == ".md":
            assert fragment in read(target).anchors(), f"{page.name} links to {link}"


@pages
def test_every_fenced_block_says_its_language(page: Page) -> None:
    for block in page.blocks():
        assert block.language or block.page.name == "ARCHITECTURE.md", block.where


@pages
def test_nothing_is_said_that_is_true_on_one_machine_only(page: Page) -> None:
    for path in re.findall(r"(?<![\w.}])/(?:work|home|root|tmp|usr|var)/\w+", page.text):
        raise AssertionError(f"{page.name} holds {path}")
    hosts = set(re.findall(r"https?://([\w.-]+)", page.text))
    assert hosts <= HOSTS, page.name


def test_every_page_is_reached_from_the_index() -> None:
    reached, new = set(), {(DOCS / "index.md").resolve()}
    while new:
        path = new.pop()
        reached.add(path)
        links = (link.partition("#")[0] for link in read(path).links() if not link.startswith("https:"))
        targets = {(path.parent / link).resolve() for link in links if link.endswith(".md")}
        new |= {target for target in targets if target.exists()} - reached
    assert {path.resolve() for path in DOCS.rglob("*.md")} <= reached


# Commands


@pytest.mark.parametrize("block", blocks(*SHELLS), ids=lambda block: block.where)
def test_every_command_in_a_block_parses(block: Block) -> None:
    root = commands()
    for words in command_lines(block):
        context = root.make_context("tidegate", list(words))
        if words == ["--install-completion"]:
            continue
        name, command, rest = root.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None, words
        inner = command.make_context(name, rest, parent=context)
        words_within = [*inner._protected_args, *inner.args]
        if hasattr(command, "commands") and words_within:  # alone it shows its help, or does what its name says
            name, command, rest = command.resolve_command(inner, words_within)
            command.make_context(name, rest, parent=inner)


@pages
def test_every_command_and_option_in_the_text_exists(page: Page) -> None:
    root = commands()
    common = _options(root)
    for code in page.inline():
        words = code.split()
        if words[0] != "tidegate" or len(words) == 1:
            continue
        if words[1].startswith("-"):
            assert words[1] in common | {"--help"}, f"{page.name}: {code}"
            continue
        if re.fullmatch(r"[a-z]+", words[1]) is None:
            continue
        assert words[1] in root.commands, f"{page.name}: {code}"
        known = _options(root.commands[words[1]]) | common | {"--help"}
        for word in words[2:]:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in known, f"{page.name}: {code}"


def _options(command: Any) -> set[str]:
    inner = getattr(command, "commands", {}).values() if command.name != "tidegate" else ()
    own = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return own.union(*map(_options, inner))


@pages
def test_every_option_alone_in_the_text_belongs_to_some_command(page: Page) -> None:
    known = options() | {"--help", "--no-wait"}
    for code in page.inline():
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code):
            foreign = option in {
                "--require-hashes",
                "--use-dynamic-base-id",
                "--check",
                "--checksum",
                "--no-install-recommends",
            }
            is_ours = code.startswith(("tidegate", "--"))
            assert foreign or not is_ours or option in known, f"{page.name}: {code}"


@pages
def test_environment_variables_that_are_named_exist(page: Page) -> None:
    root = commands()
    params = [option for command in (root, *root.commands.values()) for option in command.params]
    known = {option.envvar for option in params if isinstance(option.envvar, str)}
    known |= {CACHE_URL_VARIABLE, KEY_VARIABLE, SERVING_STORE_VARIABLE, STORE_VARIABLE, TEST_VARIABLE}
    known.add(PARTMAN_VARIABLE)
    known |= {PARENT_VARIABLE, LIBRARY_VARIABLE, PYTHON, PLACES, *_variables_of_the_pipeline()}
    known |= set(re.findall(r"(?:url|value)FromEnv: (TIDEGATE_[A-Z_]+)", page.text))  # these are the reader's own
    for name in re.findall(r"\bTIDEGATE_[A-Z_]+\b", page.text):
        assert name in known, f"{page.name}: {name}"


def _variables_of_the_pipeline() -> set[str]:
    commands_of_it = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    named = {option.envvar for command in commands_of_it for option in command.params}
    return {TOKEN_FILE, *(name for name in named if isinstance(name, str))}


# Documents and programs


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.where)
def test_python_blocks_compile(block: Block) -> None:
    ast.parse(block.text, block.where)


@pytest.mark.parametrize("block", blocks("yaml", "json", "toml"), ids=lambda block: block.where)
def test_documents_are_what_they_say(block: Block) -> None:
    if block.language == "toml":
        import tomllib

        tomllib.loads(block.text)
        return
    document = json.loads(block.text) if block.language == "json" else yaml.safe_load(block.text)
    if isinstance(document, dict) and "modelArtifact" in document:
        parse_request(document)


@pages
def test_exit_codes_that_are_named_exist(page: Page) -> None:
    known = {int(code) for code in ExitCode} | {75, 137}  # a replica that is locked out; what a shell says of SIGKILL
    for number in re.findall(r"[Ee]xit codes? (?:is )?(?:then )?(\d+)", page.prose):
        assert int(number) in known, f"{page.name}: exit code {number}"


@pages
def test_error_codes_and_metrics_that_are_named_exist(page: Page) -> None:
    codes = {
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TidegateError)
    }
    series = {name.removesuffix(end) for name in metric_names() for end in ("", "_total")} | set(metric_names())
    server = set(re.findall(r"`(tidegate_server_\w+)`", read(GENERATED / "metrics.md").text))
    for name in re.findall(r"\btidegate_[a-z_]+[a-z]\b", page.text):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert base in series | server or name in {
            *ROLES,
            "tidegate_gateway",
            "tidegate_server",
            "tidegate_version",
            "tidegate_pipeline",
        }, f"{page.name}: {name}"
    for name in re.findall(r"`((?:invalid|not)_[a-z]+)`", page.text):
        assert name in codes or name in set(Outcome), f"{page.name}: {name}"


@pages
def test_fields_of_documents_that_are_named_exist(page: Page) -> None:
    known = _fields("deployment-request") | _fields("deployment-result")
    parents = {"modelArtifact", "servingRequirements", "infrastructure", "analysis", "healthChecks", "traffic", "gates"}
    for code in page.inline():
        if re.fullmatch(r"[a-zA-Z]+(\.[a-zA-Z]+)+", code) and code.split(".")[0] in parents:
            assert code.split(".")[-1] in known, f"{page.name}: {code}"


@cache
def _fields(schema: str) -> frozenset[str]:
    text = (ROOT / "src/tidegate/contract/schemas" / f"{schema}.schema.json").read_text(encoding="utf-8")

    def names(part: Any) -> set[str]:
        if isinstance(part, list):
            return set().union(*(names(inner) for inner in part))
        if not isinstance(part, dict):
            return set()
        own = set(part.get("properties", {}))
        return own.union(*(names(inner) for inner in part.values()))

    return frozenset(names(json.loads(text)))


# Files


@pages
def test_files_of_the_repository_that_are_named_exist(page: Page) -> None:
    for code in page.inline():
        if re.match(r"(src|tests|docs|scripts|examples|benchmarks)/[\w./-]+$", code):
            assert (ROOT / code).exists(), f"{page.name}: {code}"


def test_the_layers_of_the_architecture_page_are_those_that_the_linter_checks() -> None:
    config = configparser.ConfigParser(comment_prefixes=(";", "#"))
    config.read(ROOT / ".importlinter", encoding="utf-8")
    stated = config["importlinter:contract:layers"]["layers"].strip().splitlines()
    drawn = next(block for block in read(DOCS / "ARCHITECTURE.md").blocks("text") if block.words == ("layers",))
    assert drawn.text.strip().splitlines() == [line.strip() for line in stated]


def test_the_packages_of_the_architecture_page_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \|", read(DOCS / "ARCHITECTURE.md").text, re.M)
    source = ROOT / "src/tidegate"
    packages = {path.parent.name for path in source.glob("*/__init__.py")}
    modules = {path.stem for path in source.glob("*.py") if path.stem != "__init__"}
    assert set(rows) == packages | modules


def test_every_phase_is_drawn_and_in_the_glossary() -> None:
    from tidegate.rollout import Phase

    drawn = next(
        block.text for block in read(DOCS / "ARCHITECTURE.md").blocks("mermaid") if "stateDiagram" in block.text
    )
    glossary = read(DOCS / "glossary.md").text
    for phase in Phase:
        assert phase.value in drawn
        assert phase.value in glossary
