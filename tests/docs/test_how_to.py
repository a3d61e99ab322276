"""The how-to pages that run: from CI, from Python, the metrics endpoint; one Tidegate for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.docs.pages import DOCS, read
from tests.docs.running import Reader
from tests.support import models

pytestmark = pytest.mark.e2e

HOW_TO = DOCS / "how-to"
#: Each test begins without the deployment that another may have made.
FORGET = "tidegate delete churn --yes || true"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("how-to")
    (folder / "models").mkdir()
    models.sklearn_classifier(folder / "models" / "churn.skops")
    reader = Reader(folder, folder / "home")
    try:
        reader.type("tidegate up")
        yield reader
    finally:
        reader.leave()


def test_the_python_page_is_one_program_that_runs(reader: Reader) -> None:
    reader.type(FORGET)
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
    reader.type("tidegate status churn || tidegate deploy models/churn.skops")
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
    reader.type(FORGET)
    reader.follow(read(HOW_TO / "use-it-from-ci.md"))
    assert (reader.folder / "report.json").read_text().startswith("{")


def test_the_page_on_tuning_runs_and_its_replicas_do_as_it_says(reader: Reader) -> None:
    reader.type(FORGET)
    reader.follow(read(HOW_TO / "tune-the-server.md"))
    lines = dict(line.rpartition(" ")[::2] for line in reader.told.splitlines())
    values = {name.partition("{")[0]: float(value) for name, value in lines.items()}
    assert values["tidegate_server_batch_limit"] == 64
    assert values["tidegate_server_cache_active"] == 1
    assert values["tidegate_server_requests_shed_total"] == 0


def test_the_page_on_own_code_runs(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "serve-your-own-code.md"))


def test_the_page_on_gates_runs(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "gate-a-candidate.md"))
    assert reader.told.endswith("No freezes.\n")


def test_the_page_on_health_runs(reader: Reader) -> None:
    reader.type(FORGET)
    reader.follow(read(HOW_TO / "check-health.md"))


def test_the_page_on_outcomes_takes_the_worse_candidate_back(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "judge-by-outcomes.md"))
    reader.type("tidegate status offers --output json")
    assert '"rolled_back"' in reader.told


def test_the_page_on_drift_finds_it_and_retrains(reader: Reader) -> None:
    reader.type(FORGET)
    models.flights(6_000, seed=5).dropna().to_parquet(reader.folder / "training.parquet")
    reader.instead = {"interval: 5m": "interval: 2s"}  # nobody waits that long for a page
    try:
        reader.follow(read(HOW_TO / "watch-for-drift.md"))
    finally:
        reader.instead = {}
    assert reader.told.startswith("Due: drift in hour (PSI ")


def test_the_page_on_grpc_calls_a_deployment(reader: Reader) -> None:
    reader.type(FORGET)
    reader.follow(read(HOW_TO / "grpc-clients.md"))
    assert "ready: True True" in reader.told
    assert "prediction" in reader.told


def test_the_page_on_ab_tests_runs(reader: Reader) -> None:
    reader.type(FORGET)
    for at, name in enumerate(("churn-b", "churn-c")):
        model = models.sklearn_classifier(reader.folder / "models" / f"{name}.skops", seed=at + 1)
    (reader.folder / "row.json").write_text(json.dumps({"records": model.rows[:1]}))
    reader.follow(read(HOW_TO / "run-an-ab-test.md"))
    assert "Rollout" in reader.told
    assert "promoted" in reader.told
    assert "| b |" in reader.told
    assert "A healthy arm is taken out with a chance of 1% at most" in reader.told


def test_the_page_on_forecasts_runs(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "forecast-and-replay.md"))
    assert "None" not in reader.told


def test_the_page_on_rehearsals_finds_a_hole_and_mends_it(reader: Reader) -> None:
    reader.type(FORGET)
    reader.follow(read(HOW_TO / "rehearse-a-rollback.md"))
    assert reader.told == "No rehearsal was left behind.\n"
    assert len(list((reader.home / "rehearsals" / "churn").glob("*.html"))) == 2


def test_the_page_on_the_model_registry_moves_the_alias_with_what_serves(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "register-models.md"))
    reader.type("tidegate registry show arrivals@champion --output json")
    assert json.loads(reader.told)["version"] == 1
    reader.type("tidegate delete arrivals --yes")
