"""The documents of the how-to page are documents, and its words name what there is."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.docs.pages import HOW_TO, ROOT, read
from tidegate_pipeline.__main__ import app
from tidegate_pipeline.source import parse_source
from tidegate_pipeline.training_setup import parse_setup

PAGE = read(HOW_TO / "retrain-with-mage.md")
PROJECT = ROOT / "stack" / "mage_pipeline"
BLOCKS = {"data_loader": "data_loaders", "custom": "custom", "data_exporter": "data_exporters", "sensor": "sensors"}


def document(name: str) -> object:
    return yaml.safe_load(next(block.text for block in PAGE.blocks("yaml") if block.words == (name,)))


def test_the_documents_of_the_page_are_right() -> None:
    assert parse_source(document("source.yaml")).concurrency == 4
    assert parse_setup(document("retraining.yaml")).cluster.at_once == 2


def test_the_commands_of_the_page_are_those_that_there_are() -> None:
    named = set(re.findall(r"python -m tidegate_pipeline ([a-z-]+)", PAGE.text))
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert named == known


@pytest.mark.parametrize("pipeline", sorted(path.name for path in (PROJECT / "pipelines").iterdir() if path.is_dir()))
def test_every_block_of_a_pipeline_has_its_file_and_its_places(pipeline: str) -> None:
    if pipeline == "__pycache__":
        return
    found = yaml.safe_load((PROJECT / "pipelines" / pipeline / "metadata.yaml").read_text())
    blocks = {block["uuid"]: block for block in found["blocks"]}
    assert found["uuid"] == pipeline
    for name, block in blocks.items():
        assert (PROJECT / BLOCKS[block["type"]] / f"{name}.py").is_file()
        for upstream in block["upstream_blocks"]:
            assert name in blocks[upstream]["downstream_blocks"]
        for downstream in block["downstream_blocks"]:
            assert name in blocks[downstream]["upstream_blocks"]
    for trigger in yaml.safe_load((PROJECT / "pipelines" / pipeline / "triggers.yaml").read_text())["triggers"]:
        assert trigger["pipeline_uuid"] == pipeline
        assert "schedule_interval" in trigger  # Mage cannot read a trigger that lacks it
        assert "token" not in trigger  # which would be everybody's
