"""The how-to pages for other programs: from Python, from CI, over gRPC, metrics, and a server that is tuned."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs.pages import HOW_TO, read
from tests.docs.running import Reader

pytestmark = pytest.mark.e2e


def test_the_python_page_is_one_program_that_runs(reader: Reader) -> None:
    reader.forget()
    blocks = [
        block for block in read(HOW_TO / "use-it-from-python.md").blocks("python") if "not-run" not in block.words
    ]
    program = "\n".join(block.text for block in blocks)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=reader.folder,
        env=reader.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "promoted - the replicas are ready" in done.stdout
    assert "/churn/predict" in done.stdout
    assert "mend the request:" in done.stdout
    assert "from revision 1" in done.stdout


def test_the_page_on_monitoring_finds_the_metrics_that_it_names(reader: Reader) -> None:
    page = read(HOW_TO / "monitor-with-prometheus-and-grafana.md")
    reader.type("tidegate status churn || tidegate deploy models/churn.onnx")
    reader.follow(page)
    assert "tidegate_" in reader.told
    reader.type("curl -s http://127.0.0.1:8081/metrics")
    for line in page.text.splitlines():
        if line.startswith("- `tidegate_"):
            for name in line.split("`")[1::2]:
                assert not name.startswith("tidegate_") or f"# TYPE {name} " in reader.told, name
    reader.type("curl -sf http://127.0.0.1:8081/openapi.json")
    assert "/v1/deployments/{name}/rollback" in reader.told


def test_the_page_on_ci_runs(reader: Reader) -> None:
    reader.forget()
    reader.follow(read(HOW_TO / "use-it-from-ci.md"))
    assert (reader.folder / "report.json").read_text().startswith("{")


def test_the_page_on_grpc_calls_a_deployment(reader: Reader) -> None:
    reader.forget()
    reader.follow(read(HOW_TO / "grpc-clients.md"))
    assert "ready: True True" in reader.told
    assert "prediction" in reader.told


def test_the_page_on_tuning_runs_and_its_replicas_do_as_it_says(reader: Reader) -> None:
    reader.forget()
    reader.follow(read(HOW_TO / "tune-the-server.md"))
    lines = dict(line.rpartition(" ")[::2] for line in reader.told.splitlines())
    values = {name.partition("{")[0]: float(value) for name, value in lines.items()}
    assert values["tidegate_server_batch_limit"] == 64
    assert values["tidegate_server_cache_active"] == 1
    assert values["tidegate_server_requests_shed_total"] == 0
