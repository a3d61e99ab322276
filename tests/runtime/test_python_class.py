"""A Python class of the user's own is recognised without running it, loaded alone, and answers in any usual form."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from tidegate.artifact.check import check_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted, TidegateError
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model, Recognition
from tidegate.runtime.python_class import PythonRuntime

DOUBLE = """
    class Model:
        inputs = [{"name": "x"}]

        def predict(self, inputs):
            return {"twice": inputs["x"] * 2}
"""
SAMPLE = [{"x": 1.0, "town": "Ulm"}, {"x": None, "town": None}, {"x": 3.0, "town": "Jena"}]


def written(path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(code))
    return path


def recognise(path: Path) -> Recognition | None:
    return PythonRuntime().recognise(ArtifactFiles(path))


def load(path: Path, sample: Any = None, **settings: Any) -> Model:
    return PythonRuntime().load(ArtifactFiles(path), LoadOptions(trusted=True, sample=sample, settings=settings))


def numbers(*values: float) -> dict[str, Any]:
    return {"x": np.array(values)}


def refused(path: Path, sample: Any = None, **settings: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        load(path, sample, **settings)
    return caught.value


# Recognition


def test_a_class_with_predict_is_recognised_without_running_it(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = f"import pathlib, numpy, shop.rules\npathlib.Path({str(marker)!r}).touch()\n" + dedent(DOUBLE)
    path = tmp_path / "churn.py"
    path.write_text(code)
    found = recognise(path)
    assert found is not None
    assert (found.runtime, found.format, found.needs_trust, found.opaque) == ("python", "python", True, False)
    assert found.reasons == ("it runs the class Model of churn.py", "it imports numpy", "it imports shop")
    assert found.dangerous == ()
    assert not marker.exists()


@pytest.mark.parametrize(
    "code",
    ["", "x = 1", "def predict(x): return x", "class Model:\n    def fit(self): ...", "class (", "\0", "(" * 5000],
)
def test_other_python_files_are_no_models(tmp_path: Path, code: str) -> None:
    (tmp_path / "other.py").write_text(code)
    assert recognise(tmp_path / "other.py") is None


def test_a_class_may_inherit_its_predict(tmp_path: Path) -> None:
    code = dedent(DOUBLE).replace("class Model", "class Base") + "\nclass Model(Base):\n    pass\n"
    found = recognise(written(tmp_path / "m.py", code))
    assert found is not None
    assert "Base, Model" in found.reasons[0]


def test_a_folder_is_recognised_by_its_model_py_or_by_the_class_that_it_names(tmp_path: Path) -> None:
    written(tmp_path / "a" / "model.py", DOUBLE)
    written(tmp_path / "b" / "churn.py", DOUBLE)
    assert recognise(tmp_path / "a") is not None
    assert recognise(tmp_path / "b") is None
    (tmp_path / "b" / "tidegate.yaml").write_text("class: churn:Model\n")
    assert recognise(tmp_path / "b") is not None
    assert load(tmp_path / "b").predict(numbers(2))["twice"].tolist() == [4.0]


def test_code_is_not_loaded_without_trust(tmp_path: Path) -> None:
    path = written(tmp_path / "churn.py", DOUBLE)
    with pytest.raises(NotTrusted) as caught:
        check_artifact(path)
    assert "Python code" in caught.value.message
    assert "--trust" in str(caught.value.hint)
    with pytest.raises(NotTrusted):
        PythonRuntime().load(ArtifactFiles(path), LoadOptions())


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "churn.py", "class Model:\n    def predict(self, inputs):\n        return (\n")
    with pytest.raises(InvalidInput) as caught:
        check_artifact(path, trust=True)
    assert "SyntaxError" in caught.value.message
    assert "churn.py, line 3" in caught.value.message


# Loading


def test_the_check_takes_a_class_with_declared_inputs_as_it_is(tmp_path: Path) -> None:
    checked = check_artifact(written(tmp_path / "churn.py", DOUBLE), trust=True)
    assert [(spec.name, spec.datatype, spec.shape) for spec in checked.signature.outputs] == [("twice", "FP64", (-1,))]
    assert checked.signature.kind == "columns"
    assert checked.sample == [{"x": 1.0}]
    assert "numpy" in checked.environment.packages


def test_load_gets_the_folder_and_neighbours_are_found_while_it_loads_and_gone_afterwards(tmp_path: Path) -> None:
    code = """
        import neighbour_a
        class Model:
            inputs = [{"name": "x"}]
            def load(self, folder):
                import neighbour_b
                self.factor = neighbour_a.FACTOR * neighbour_b.FACTOR * float((folder / "factor.txt").read_text())
            def predict(self, inputs):
                return inputs["x"] * self.factor
    """
    before = list(sys.path)
    answers = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        written(folder / "model.py", code)
        written(folder / "neighbour_a.py", f"FACTOR = {number}")
        written(folder / "neighbour_b" / "__init__.py", "from .inner import FACTOR")
        written(folder / "neighbour_b" / "inner.py", "FACTOR = 10")
        (folder / "factor.txt").write_text("7")
        answers.append(load(folder).predict(numbers(1))["prediction"].tolist())
        assert not list(folder.rglob("__pycache__"))
    assert answers == [[70.0], [140.0]]
    assert sys.path == before
    assert not [name for name in sys.modules if name.startswith("neighbour_") or name == "model"]


def test_a_neighbour_with_the_name_of_a_loaded_module_is_the_folders_own_and_only_there(tmp_path: Path) -> None:
    import iniconfig

    written(tmp_path / "iniconfig.py", "FACTOR = 3")
    written(
        tmp_path / "model.py",
        """
        import iniconfig
        class Model:
            inputs = [{"name": "x"}]
            def predict(self, inputs):
                return inputs["x"] * iniconfig.FACTOR
        """,
    )
    assert load(tmp_path).predict(numbers(2))["prediction"].tolist() == [6.0]
    assert sys.modules["iniconfig"] is iniconfig


def test_a_pickle_beside_the_code_finds_the_classes_of_the_code(tmp_path: Path) -> None:
    written(
        tmp_path / "model.py",
        """
        import pickle
        class Rule:
            def __init__(self, factor): self.factor = factor
        class Model:
            inputs = [{"name": "x"}]
            def load(self, folder):
                self.rule = pickle.loads((folder / "rule.pkl").read_bytes())
            def predict(self, inputs):
                return inputs["x"] * self.rule.factor
        """,
    )
    content = b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00"[:2] + b"cmodel\nRule\n)\x81}(\x8c\x06factorK\x05ub."
    (tmp_path / "rule.pkl").write_bytes(content)
    assert load(tmp_path).predict(numbers(2))["prediction"].tolist() == [10.0]


def test_a_file_alone_sees_nothing_that_will_not_be_in_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "neighbour_c.py").write_text("FACTOR = 3")
    path = written(tmp_path / "churn.py", "import neighbour_c\n" + dedent(DOUBLE))
    error = refused(path)
    assert "neighbour_c" in error.message
    assert "not installed" in error.message
    assert "churn.py, line 1" in error.message


@pytest.mark.parametrize("name", ["churn-v2.py", "code.py", "numpy.py"])
def test_a_file_may_be_called_anything(tmp_path: Path, name: str) -> None:
    import numpy

    path = written(tmp_path / name, "import numpy\n" + dedent(DOUBLE))
    assert load(path).predict(numbers(2))["twice"].tolist() == [4.0]
    assert sys.modules["numpy"] is numpy


def test_the_class_is_chosen_by_name_or_because_it_is_the_only_one(tmp_path: Path) -> None:
    one = written(tmp_path / "one.py", dedent(DOUBLE).replace("Model", "Churn"))
    assert load(one).predict(numbers(2))["twice"].tolist() == [4.0]
    two = written(tmp_path / "two.py", dedent(DOUBLE).replace("Model", "A") + dedent(DOUBLE).replace("Model", "B"))
    assert load(two, **{"class": "B"}).predict(numbers(2))["twice"].tolist() == [4.0]
    assert refused(two).got == "A, B"
    assert "no class C" in refused(two, **{"class": "two:C"}).message
    assert refused(two, **{"class": 7}).subject == "modelArtifact.settings.class"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("def __init__(self, path): ...", "TypeError"),
        ("def load(self, folder): raise KeyError('weights')", "KeyError"),
        ("def load(self, folder): raise SystemExit('no licence')", "SystemExit"),
    ],
)
def test_an_error_while_loading_is_named_with_class_and_line(tmp_path: Path, body: str, kind: str) -> None:
    code = f"class Model:\n    inputs = [{{'name': 'x'}}]\n    {body}\n    def predict(self, inputs): return inputs\n"
    error = refused(written(tmp_path / "churn.py", code))
    assert kind in error.message
    assert kind == "TypeError" or "churn.py, line 3, in load" in error.message


def test_a_setting_that_there_is_not_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    written(tmp_path / "model.py", DOUBLE)
    assert refused(tmp_path, klass="Model").hint == "Did you mean class?"
    (tmp_path / "tidegate.yaml").write_text("input: []\n")
    assert refused(tmp_path).hint in ("Did you mean inputs?", "Did you mean inputType?")
    (tmp_path / "tidegate.yaml").write_text("- 1\n")
    assert "tidegate.yaml" in refused(tmp_path).message


# Signatures


def test_inputs_come_from_the_sample_and_outputs_from_asking_once(tmp_path: Path) -> None:
    path = written(
        tmp_path / "m.py",
        """
        import numpy as np
        class Model:
            def predict(self, inputs):
                assert inputs["x"].dtype == np.float64 and inputs["town"].dtype == object
                known = np.array([town is not None for town in inputs["town"]])
                return {"score": np.stack([inputs["x"], -inputs["x"]], axis=1), "known": known}
        """,
    )
    signature = load(path, SAMPLE).signature
    assert [(spec.name, spec.datatype) for spec in signature.inputs] == [("x", "FP64"), ("town", "BYTES")]
    outputs = [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs]
    assert outputs == [("score", "FP64", (-1, 2)), ("known", "BOOL", (-1,))]


def test_a_list_in_the_sample_is_a_tensor(tmp_path: Path) -> None:
    path = written(
        tmp_path / "m.py", "class Model:\n    def predict(self, inputs): return inputs['image'].sum(axis=(1, 2))\n"
    )
    signature = load(path, [{"image": [[1.0, 2.0], [3.0, 4.0]]}]).signature
    assert (signature.kind, signature.inputs[0].shape) == ("tensors", (-1, 2, 2))


def test_without_inputs_and_sample_it_says_what_is_missing(tmp_path: Path) -> None:
    error = refused(written(tmp_path / "m.py", "class Model:\n    def predict(self, inputs): return 1\n"))
    assert "does not say what it takes" in error.message
    assert "--sample" in str(error.hint)


def test_a_class_that_answers_for_one_row_only_is_refused(tmp_path: Path) -> None:
    error = refused(
        written(
            tmp_path / "m.py",
            "class Model:\n    inputs = [{'name': 'x'}]\n    def predict(self, inputs): return [1.0]\n",
        )
    )
    assert "1 values of 'prediction' for 2 rows" in error.message


def test_settings_declare_what_the_class_does_not(tmp_path: Path) -> None:
    path = written(tmp_path / "m.py", "class Model:\n    def predict(self, inputs): return inputs['n']\n")
    model = load(
        path,
        inputs=[{"name": "n", "datatype": "INT32"}],
        outputs=[{"name": "class", "datatype": "INT64", "labels": ["a", "b"]}],
    )
    answer = model.predict({"n": np.array([1, 0], dtype=np.int32)})
    assert answer["class"].dtype == np.int64
    assert model.signature.outputs[0].labels == ("a", "b")


@pytest.mark.parametrize(
    ("declared", "where"),
    [
        ("age", "modelArtifact.settings.inputs"),
        ([], "modelArtifact.settings.inputs"),
        ([{"datatype": "FP64"}], "modelArtifact.settings.inputs[0]"),
        ([{"name": "a"}, {"name": "b", "datatype": "float"}], "modelArtifact.settings.inputs[1].datatype"),
        ([{"name": "a", "shape": [3]}], "modelArtifact.settings.inputs[0].shape"),
        ([{"name": "a", "type": "FP64"}], "modelArtifact.settings.inputs[0]"),
        ([{"name": "a"}, {"name": "a"}], "modelArtifact.settings.inputs"),
        ([{"name": "a", "labels": "ab"}], "modelArtifact.settings.inputs[0].labels"),
    ],
)
def test_a_wrong_declaration_is_named_by_its_place(tmp_path: Path, declared: Any, where: str) -> None:
    path = written(tmp_path / "m.py", DOUBLE)
    assert refused(path, inputs=declared).subject == where


# What predict gets


def test_predict_may_work_in_place_on_inputs_that_lie_in_a_request(tmp_path: Path) -> None:
    code = """
        class Model:
            inputs = [{"name": "x"}]

            def predict(self, inputs):
                inputs["x"] *= 2
                return {"twice": inputs["x"]}
    """
    model = load(written(tmp_path / "m.py", code))
    request = np.array([1.0, 2.0]).tobytes()
    assert model.predict({"x": np.frombuffer(request)})["twice"].tolist() == [2.0, 4.0]
    assert np.frombuffer(request).tolist() == [1.0, 2.0]


def test_predict_may_ask_for_a_data_frame(tmp_path: Path) -> None:
    path = written(
        tmp_path / "m.py",
        """
        class Model:
            input_type = "pandas"
            def predict(self, frame):
                assert list(frame.columns) == ["x", "town"] and frame["x"].isna().sum() == frame["town"].isna().sum()
                return frame.assign(x=frame["x"].fillna(0.0), town=frame["town"].fillna("nowhere"))
        """,
    )
    model = load(path, SAMPLE)
    answer = model.predict({"x": np.array([1.0, np.nan]), "town": np.array(["Ulm", None], dtype=object)})
    assert answer["x"].tolist() == [1.0, 0.0]
    assert answer["town"].tolist() == ["Ulm", "nowhere"]


def test_predict_may_ask_for_records(tmp_path: Path) -> None:
    code = """
        class Model:
            def predict(self, rows):
                return [{"size": (row["x"] or 0) + 1, "where": row["town"] or "?"} for row in rows]
    """
    model = load(written(tmp_path / "m.py", code), SAMPLE, inputType="records")
    answer = model.predict({"x": np.array([1.0, np.nan]), "town": np.array(["Ulm", None], dtype=object)})
    assert {name: values.tolist() for name, values in answer.items()} == {"size": [2.0, 1.0], "where": ["Ulm", "?"]}
    assert refused(tmp_path / "m.py", SAMPLE, inputType="frames").got == "frames"


# What predict answers


ANSWERS: Mapping[str, tuple[str, list[Any]]] = {
    "an array": ("np.array([1, 2, 3])", [1, 2, 3]),
    "a list": ("[1.5, 2.5, 3.5]", [1.5, 2.5, 3.5]),
    "texts": ("['a', None, 'c']", ["a", None, "c"]),
    "numpy texts": ("np.array(['a', 'bc', 'd'])", ["a", "bc", "d"]),
    "bytes": ("np.array([b'a', b'b', b'c'])", ["a", "b", "c"]),
    "records": ("[{'prediction': 1}, {'prediction': 2}, {}]", [1.0, 2.0, None]),
    "a series": ("pd.Series([1, 2, 3], index=[7, 8, 9])", [1, 2, 3]),
    "a frame": ("pd.DataFrame({'prediction': [True, False, True]})", [True, False, True]),
    "a category": ("pd.Series(['a', 'b', None], dtype='category')", ["a", "b", None]),
    "a nullable integer": ("pd.array([1, None, 3], dtype='Int64')", [1.0, None, 3.0]),
    "half floats": ("np.array([0.5, 1, 2], dtype=np.float16)", [0.5, 1.0, 2.0]),
    "more than rows": ("np.arange(6).reshape(3, 2)", [[0, 1], [2, 3], [4, 5]]),
}


@pytest.mark.parametrize("form", ANSWERS)
def test_usual_forms_of_answers_are_taken(tmp_path: Path, form: str) -> None:
    code, expected = ANSWERS[form]
    text = f"import numpy as np, pandas as pd\nclass Model:\n    def predict(self, inputs): return {code}\n"
    model = load(written(tmp_path / "m.py", text), SAMPLE)
    answer = model.predict(numbers(1, 2, 3))["prediction"]
    assert [None if value != value else value for value in answer.tolist()] == expected  # noqa: PLR0124 (NaN)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("None", "gave None"),
        ("{}", "no outputs"),
        ("1.0", "one value of 'prediction' for 3 rows"),
        ("[1, 2]", "2 values of 'prediction' for 3 rows"),
        ("[1, 'a', 2]", "holds what cannot be served"),
        ("[[1], [1, 2], []]", "is no array"),
        ("[object()] * 3", "holds what cannot be served"),
        ("np.array(['2020-01-01'] * 3, dtype='datetime64[D]')", "type that cannot be served"),
        ("[10**30, 1, 2]", "too large"),
        ("inputs['y']", "KeyError: 'y' (m.py, line 3, in predict)"),
    ],
)
def test_answers_that_cannot_be_served_say_why(tmp_path: Path, code: str, reason: str) -> None:
    text = f"import numpy as np\nclass Model:\n    def predict(self, inputs): return {code}\n"
    error = refused(written(tmp_path / "m.py", text), SAMPLE)
    assert reason in error.message, error.message


@pytest.mark.parametrize(
    ("outputs", "code", "reason"),
    [
        ([{"name": "a"}, {"name": "b"}], "{'a': inputs['x']}", "no output 'b'"),
        ([{"name": "a", "datatype": "INT8"}], "inputs['x'] * 1000", "does not hold what its signature says"),
        ([{"name": "a", "datatype": "INT8"}], "inputs['x'] + 0.5", "does not hold what its signature says"),
        ([{"name": "a", "datatype": "BYTES"}], "inputs['x']", "does not hold what its signature says"),
        ([{"name": "a", "datatype": "BOOL"}], "inputs['x'] + 1", "does not hold what its signature says"),
        ([{"name": "a", "shape": [-1, 3]}], "np.ones((2, 2))", "another shape"),
    ],
)
def test_an_answer_against_the_declaration_fails(tmp_path: Path, outputs: list[Any], code: str, reason: str) -> None:
    text = f"import numpy as np\nclass Model:\n    def predict(self, inputs): return {code}\n"
    model = load(written(tmp_path / "m.py", text), SAMPLE, outputs=outputs)
    with pytest.raises(TidegateError) as caught:
        model.predict(numbers(1, 2))
    assert reason in caught.value.message


def test_a_failure_while_serving_keeps_the_users_own_error_as_its_cause(tmp_path: Path) -> None:
    model = load(
        written(
            tmp_path / "m.py",
            """
            def ratio(values):
                return [1 / value for value in values]
            class Model:
                inputs = [{"name": "x"}]
                def predict(self, inputs):
                    return ratio(inputs["x"].tolist())
            """,
        )
    )
    with pytest.raises(TidegateError) as caught:
        model.predict(numbers(1, 0))
    assert caught.value.message.startswith("ZeroDivisionError: ")
    assert "(m.py, line 3, in " in caught.value.message
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_answer_may_hold_more_than_was_declared(tmp_path: Path) -> None:
    code = "{'a': inputs['x'], 'debug': object()}"
    text = f"class Model:\n    outputs = [{{'name': 'a'}}]\n    def predict(self, inputs): return {code}\n"
    answer = load(written(tmp_path / "m.py", text), SAMPLE).predict(numbers(1, 2))
    assert list(answer) == ["a"]


def test_close_is_called_and_what_it_raises_harms_nobody(tmp_path: Path) -> None:
    marker = tmp_path / "closed"
    code = (
        f"{dedent(DOUBLE)}\n    def close(self):\n        open({str(marker)!r}, 'w').close()\n        raise OSError\n"
    )
    load(written(tmp_path / "m.py", code)).close()
    assert marker.exists()
