"""PyTorch's programs answer as PyTorch does, and files that are none are refused with what to do instead."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.processes import replica
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.artifact.check import check_artifact, require_trust
from tidegate.artifact.inspect import inspect_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model, Recognition, TensorSpec
from tidegate.runtime.pytorch import PytorchRuntime
from tidegate.runtime.registry import runtimes

torch: Any = pytest.importorskip("torch")

RUNTIME = PytorchRuntime()


def network(width: int = 4, classes: int = 3) -> Any:
    torch.manual_seed(7)
    layers = (torch.nn.Linear(width, 16), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(16, classes))
    return torch.nn.Sequential(*layers).eval()


class TwoInputs(torch.nn.Module):
    """A number and a code per row in, a dict out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = torch.nn.Embedding(5, 2)
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, amount: torch.Tensor, code: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.cat([amount.unsqueeze(1), self.embedding(code)], 1)
        logits = self.linear(hidden)
        return {"logits": logits, "best": logits.argmax(1)}


class Pair(torch.nn.Module):
    """One tensor in, a tuple out, one of it in half precision that NumPy does not know."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, x.sum(1).to(torch.bfloat16)


def export(model: Any, path: Path, arguments: tuple[Any, ...], *, dynamic: bool = True) -> Path:
    shapes = tuple({0: torch.export.Dim("batch")} for _ in arguments) if dynamic else None
    torch.export.save(torch.export.export(model, arguments, dynamic_shapes=shapes), path)
    return path


def scripted(model: Any, path: Path) -> Path:
    torch.jit.script(model).save(str(path))
    return path


def load(path: Path, **options: Any) -> Model:
    return RUNTIME.load(ArtifactFiles(path), LoadOptions(trusted=True, **options))


def recognised(path: Path) -> list[Recognition]:
    return [found for runtime in runtimes() if (found := runtime.recognise(ArtifactFiles(path))) is not None]


def rows(count: int, width: int = 4) -> np.ndarray[Any, Any]:
    return np.random.default_rng(count).normal(size=(count, width)).astype(np.float32)


def answers_of(model: Any, *arrays: Any) -> Any:
    with torch.inference_mode():
        return model(*(torch.tensor(array) for array in arrays))


@pytest.mark.parametrize("count", [1, 2, 300])
def test_an_exported_program_answers_as_pytorch_does(tmp_path: Path, count: int) -> None:
    network_ = network()
    path = export(network_, tmp_path / "model.pt2", (torch.randn(8, 4),))
    model = load(path)
    assert model.signature.kind == "tensors"
    assert model.signature.inputs == (TensorSpec("input", "FP32", (-1, 4)),)
    assert model.signature.outputs == (TensorSpec("output", "FP32", (-1, 3)),)
    asked = rows(count)
    own = torch.export.load(path).module()
    np.testing.assert_array_equal(model.predict({"input": asked})["output"], answers_of(own, asked).numpy())
    np.testing.assert_allclose(
        model.predict({"input": asked})["output"], answers_of(network_, asked).numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("count", [1, 300])
@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.trace(model, torch.randn(2, 4))])
def test_torchscript_answers_as_pytorch_does(tmp_path: Path, make: Callable[[Any], Any], count: int) -> None:
    path = tmp_path / "model.pt"
    program = make(network())
    program.save(str(path))
    model = load(path, sample=[{"input": [0.5, 1.0, -2.0, 0.0]}])
    assert model.signature.inputs == (TensorSpec("input", "FP32", (-1, 4)),)
    assert model.signature.outputs == (TensorSpec("output", "FP32", (-1, 3)),)
    asked = rows(count)
    expected = answers_of(program, asked).numpy()
    for _ in range(4):  # TorchScript rewrites a program after its first runs
        np.testing.assert_array_equal(model.predict({"input": asked})["output"], expected)


def test_dropout_is_off_although_the_file_was_saved_while_training(tmp_path: Path) -> None:
    path = scripted(network().train(), tmp_path / "model.pt")
    model = load(path, sample=[{"input": [0.5, 1.0, -2.0, 0.0]}])
    asked = rows(20)
    expected = answers_of(torch.jit.script(network().eval()), asked).numpy()
    np.testing.assert_array_equal(model.predict({"input": asked})["output"], expected)


@pytest.mark.parametrize("form", ["export", "script"])
def test_inputs_and_outputs_keep_the_names_of_the_model(tmp_path: Path, form: str) -> None:
    amount, code = np.array([0.5, 1.5, -1.0], dtype=np.float32), np.array([0, 4, 2])
    if form == "export":
        path = export(TwoInputs(), tmp_path / "m.pt2", (torch.tensor(amount), torch.tensor(code)))
        model = load(path)
    else:
        path = scripted(TwoInputs(), tmp_path / "m.pt")
        model = load(path, sample=[{"amount": 0.5, "code": 0}, {"amount": 1.5, "code": 4}])
    assert model.signature.kind == "columns"
    assert model.signature.inputs == (TensorSpec("amount", "FP32"), TensorSpec("code", "INT64"))
    assert model.signature.outputs == (TensorSpec("logits", "FP32", (-1, 2)), TensorSpec("best", "INT64"))
    expected = answers_of(TwoInputs(), amount, code)
    answer = model.predict({"amount": amount, "code": code})
    np.testing.assert_allclose(answer["logits"], expected["logits"].numpy(), rtol=1e-6)
    np.testing.assert_array_equal(answer["best"], expected["best"].numpy())


@pytest.mark.parametrize("form", ["export", "script"])
def test_tuples_become_numbered_outputs_and_bfloat16_becomes_float(tmp_path: Path, form: str) -> None:
    if form == "export":
        model = load(export(Pair(), tmp_path / "m.pt2", (torch.randn(3, 2),)))
    else:
        model = load(scripted(Pair(), tmp_path / "m.pt"), sample=[{"x": [1.0, 2.5]}])
    assert [(spec.name, spec.datatype) for spec in model.signature.outputs] == [
        ("output_0", "FP32"),
        ("output_1", "FP32"),
    ]
    answer = model.predict({"x": rows(5, 2)})
    expected = answers_of(Pair(), rows(5, 2))
    np.testing.assert_array_equal(answer["output_1"], expected[1].float().numpy())
    assert answer["output_1"].dtype == np.float32


def test_a_program_for_a_fixed_batch_says_so_and_takes_multiples_of_it_alone(tmp_path: Path) -> None:
    path = export(network(), tmp_path / "m.pt2", (torch.randn(4, 4),), dynamic=False)
    model = load(path)
    assert model.signature.inputs == (TensorSpec("input", "FP32", (4, 4)),)
    assert model.signature.outputs == (TensorSpec("output", "FP32", (4, 3)),)
    asked = rows(8)
    own = torch.export.load(path).module()
    expected = np.concatenate([answers_of(own, asked[:4]).numpy(), answers_of(own, asked[4:]).numpy()])
    np.testing.assert_array_equal(model.predict({"input": asked})["output"], expected)
    with pytest.raises(InvalidInput, match="batches of 4 rows") as caught:
        model.predict({"input": rows(3)})
    assert "dynamic" in str(caught.value.hint)
    assert len(check_artifact(path, trust=True).sample) == 4


def test_an_input_that_a_program_does_not_take_is_an_error_of_the_caller(tmp_path: Path) -> None:
    model = load(export(network(), tmp_path / "m.pt2", (torch.randn(4, 4),)))
    with pytest.raises(InvalidInput, match="do not fit"):
        model.predict({"input": rows(3, 5)})


def test_torchscript_without_a_sample_asks_for_one(tmp_path: Path) -> None:
    path = scripted(network(), tmp_path / "m.pt")
    with pytest.raises(InvalidInput, match="takes input, and not of what type") as caught:
        load(path)
    assert "--sample" in str(caught.value.hint)
    assert "settings.inputs" in str(caught.value.hint)


def test_the_settings_can_describe_the_inputs_of_torchscript(tmp_path: Path) -> None:
    path = scripted(TwoInputs(), tmp_path / "m.pt")
    inputs = [
        {"name": "code", "datatype": "INT64", "shape": [-1]},
        {"name": "amount", "datatype": "FP32", "shape": [-1]},
    ]
    model = load(path, settings={"inputs": inputs})
    assert model.signature.inputs == (TensorSpec("amount", "FP32"), TensorSpec("code", "INT64"))
    with pytest.raises(InvalidInput, match="not the ones") as caught:
        load(path, settings={"inputs": inputs[:1]})
    assert caught.value.expected == "amount, code"


def test_a_sample_of_the_wrong_type_is_explained(tmp_path: Path) -> None:
    path = scripted(network(), tmp_path / "m.pt")
    with pytest.raises(InvalidInput, match="fails on a sample row") as caught:
        load(path, sample=[{"input": [1, 2, 3, 4]}])
    assert "INT64" in str(caught.value.hint)


@pytest.mark.parametrize("layer", [torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)])
def test_a_program_that_was_exported_while_training_is_refused(tmp_path: Path, layer: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), layer).train()
    path = export(model, tmp_path / "m.pt2", (torch.randn(4, 4),))
    with pytest.raises(InvalidInput, match="exported while training") as caught:
        load(path)
    assert "eval()" in str(caught.value.hint)


def test_an_answer_without_rows_is_refused(tmp_path: Path) -> None:
    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean()

    path = export(Mean(), tmp_path / "m.pt2", (torch.randn(4, 4),))
    with pytest.raises(InvalidInput, match="row by row"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("state", "state dict"), ("module", "pickled module"), ("old", "state dict"), ("bare", "pickled module")],
)
def test_what_torch_save_writes_is_recognised_and_refused_with_the_way_out(
    tmp_path: Path, content: str, message: str
) -> None:
    import pickle

    path = tmp_path / "model.pt"
    if content == "bare":
        path.write_bytes(pickle.dumps(network()))
    else:
        thing = network() if content == "module" else network().state_dict()
        torch.save(thing, path, _use_new_zipfile_serialization=content != "old")
    assert [(found.runtime, found.format) for found in recognised(path)] == [("pytorch", "torch-pickle")]
    for trust in (False, True):
        with pytest.raises(InvalidInput, match=message) as caught:
            check_artifact(path, trust=trust)
        assert not isinstance(caught.value, NotTrusted)
        assert "torch.export" in str(caught.value.hint)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx", ""])
@pytest.mark.parametrize("form", ["torch-export", "torchscript"])
def test_programs_are_known_by_their_content_and_need_trust(tmp_path: Path, form: str, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    if form == "torch-export":
        path.write_bytes(export(network(), tmp_path / "saved.pt2", (torch.randn(4, 4),)).read_bytes())
    else:
        scripted(network(), path)
    (found,) = recognised(path)
    assert (found.runtime, found.format, found.needs_trust) == ("pytorch", form, True)
    assert found.framework_version == (torch.__version__ if form == "torch-export" else None)
    assert found.dangerous == ()
    with pytest.raises(NotTrusted):
        RUNTIME.load(ArtifactFiles(path), LoadOptions())
    load(path, sample=[{"input": [0.5, 1.0, -2.0, 0.0]}])


def changed(path: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Copy an archive, each member through `change`."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, change(name, source.read(name)))
    return target


class Touch:
    """Pickled, a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {self.path}",)


def test_torch_itself_runs_code_out_of_a_program_and_tidegate_does_not(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    expression = f"__import__('pathlib').Path({str(trace)!r}).touch() or 3"

    def evaluate(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        graph = json.loads(content)
        sizes = graph["graph_module"]["graph"]["tensor_values"]["input"]["sizes"]
        sizes[0] = {"as_expr": {"expr_str": expression, "hint": {"as_int": 3}}}
        return json.dumps(graph).encode()

    path = export(network(), tmp_path / "m.pt2", (torch.randn(4, 4),))
    hostile = changed(path, tmp_path / "hostile.pt2", evaluate)
    files, found = inspect_artifact(hostile)
    assert any("evaluates" in reason for reason in found.dangerous)
    for trust in (False, True):
        with pytest.raises(NotTrusted):
            require_trust(hostile, found, trust=trust)
        with pytest.raises(NotTrusted):
            RUNTIME.load(files, LoadOptions(trusted=trust))
    assert not trace.exists()
    torch.export.load(hostile)
    assert trace.exists(), "PyTorch has become careful: is trust still necessary?"


def test_a_pickle_inside_a_program_that_starts_a_shell_is_seen(tmp_path: Path) -> None:
    def shell(name: str, content: bytes) -> bytes:
        if not name.endswith("sample_inputs/model.pt"):
            return content
        stream = io.BytesIO()
        torch.save(Touch(tmp_path / "trace"), stream)
        return stream.getvalue()

    path = export(network(), tmp_path / "m.pt2", (torch.randn(4, 4),))
    (found,) = recognised(changed(path, tmp_path / "hostile.pt2", shell))
    assert any("system" in reason for reason in found.dangerous)
    assert not (tmp_path / "trace").exists()


def test_a_graph_that_calls_the_system_is_seen(tmp_path: Path) -> None:
    path = export(network(), tmp_path / "m.pt2", (torch.randn(4, 4),))
    hostile = changed(
        path, tmp_path / "h.pt2", lambda _, c: c.replace(b"torch.ops.aten.relu.default", b"torch.os.system")
    )
    (found,) = recognised(hostile)
    assert found.dangerous == ("its graph calls torch.os.system",)


def test_torchscript_that_writes_files_is_seen(tmp_path: Path) -> None:
    class Writes(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, "written")
            return x

    (found,) = recognised(scripted(Writes(), tmp_path / "m.pt"))
    assert any("save" in reason for reason in found.dangerous)


@pytest.mark.parametrize("part", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("form", ["torch-export", "torchscript"])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, form: str, part: float) -> None:
    path = tmp_path / "m"
    whole = export(network(), tmp_path / "s.pt2", (torch.randn(4, 4),)) if form == "torch-export" else path
    content = (whole if form == "torch-export" else scripted(network(), path)).read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InvalidInput, match="damaged PyTorch file"):
        recognised(path)


def test_a_program_with_damaged_weights_is_refused_in_one_message(tmp_path: Path) -> None:
    path = export(network(), tmp_path / "m.pt2", (torch.randn(4, 4),))
    broken = changed(path, tmp_path / "b.pt2", lambda name, c: b"" if name.endswith("weights_config.json") else c)
    with pytest.raises(InvalidInput, match=r"PyTorch .* cannot load b.pt2"):
        load(broken)


def test_several_threads_get_the_answers_of_one(tmp_path: Path) -> None:
    model = load(export(network(), tmp_path / "m.pt2", (torch.randn(4, 4),)))
    asked = [rows(count) for count in range(1, 9)]
    expected = [model.predict({"input": array})["output"] for array in asked]
    wrong: list[int] = []

    def ask(position: int) -> None:
        for _ in range(30):
            if not np.array_equal(model.predict({"input": asked[position]})["output"], expected[position]):
                wrong.append(position)

    threads = [threading.Thread(target=ask, args=(position,)) for position in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_caller_s_array_stays_as_it_is_and_may_be_read_only(tmp_path: Path) -> None:
    class InPlace(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.add_(1)

    model = load(scripted(InPlace(), tmp_path / "m.pt"), sample=[{"x": [1.5]}])
    asked = np.array([[1.0], [2.0]], dtype=np.float32)
    asked.flags.writeable = False
    np.testing.assert_array_equal(model.predict({"x": asked})["output"], [[2.0], [3.0]])
    np.testing.assert_array_equal(asked, [[1.0], [2.0]])


@pytest.mark.parametrize("form", ["export", "script"])
def test_a_replica_serves_it(tmp_path: Path, form: str) -> None:
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps([{"input": [0.5, 1.0, -2.0, 0.0]}]))
    program = network()
    if form == "export":
        path = export(program, tmp_path / "model.pt2", (torch.randn(4, 4),))
    else:
        path = scripted(program, tmp_path / "model.pt")
    request = BuildRequest(path, trust=True, sample_path=sample)
    bundle = asyncio.run(build_bundle(request, tmp_path / "bundles"))
    assert bundle.manifest.runtime == "pytorch"
    assert bundle.manifest.environment.packages["torch"] == torch.__version__
    asked = rows(3)
    expected = answers_of(program, asked).numpy()
    with replica(bundle.folder, tmp_path / "run") as running:
        answer = running.client.post("/predict", json={"records": [{"input": row} for row in asked.tolist()]})
        assert answer.status_code == 200, answer.text
    got = [row["output"] for row in answer.json()["predictions"]]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_request_that_a_program_for_a_fixed_batch_refuses_is_answered_400(tmp_path: Path) -> None:
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps([{"input": [0.5, 1.0, -2.0, 0.0]}] * 4))
    path = export(network(), tmp_path / "model.pt2", (torch.randn(4, 4),), dynamic=False)
    bundle = asyncio.run(build_bundle(BuildRequest(path, trust=True, sample_path=sample), tmp_path / "bundles"))
    with replica(bundle.folder, tmp_path / "run") as running:
        for count, status in [(4, 200), (8, 200), (3, 400)]:
            data = rows(count).tolist()
            predicted = running.client.post("/predict", json={"records": [{"input": row} for row in data]})
            assert predicted.status_code == status, predicted.text
            tensor = {"name": "input", "shape": [count, 4], "datatype": "FP32", "data": data}
            inferred = running.client.post("/v2/models/flights/infer", json={"inputs": [tensor]})
            assert inferred.status_code == status, inferred.text
        assert "batches of 4 rows" in predicted.json()["error"]
