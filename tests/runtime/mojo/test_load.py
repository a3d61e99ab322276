"""Models that H2O trained, from named values to named answers, against the numbers of H2O's own scorer."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.runtime.mojo.matrix.kept import DATA
from tests.support.mojos import ENCODINGS, FOLDER, columns_of_rows, expected_of
from tidegate import mojo
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.delimited import BLOCK
from tidegate.runtime.mojo.values import ABSENT

ROW = {"size": 0.4, "count": 3, "kind": "a", "town": "t01", "code": "10", "flag": "True"}
#: These add their numbers in an order that the format fixes; only the last bit of an exponential may differ.
TO_THE_BIT = [
    *(f"{algorithm}_{encoding}" for algorithm in ("gbm", "drf") for encoding in ENCODINGS),
    "gbm_platt",
    "gbm_offset",
    "glm_offset",
    "glm_three",
    "isolation",
    "isolation_flag",
    "kmeans",
]


def loaded(name: str) -> mojo.MojoModel:
    return mojo.load(FOLDER / f"{name}.zip")


@pytest.mark.parametrize("name", TO_THE_BIT)
def test_answers_are_those_of_h2os_scorer(name: str) -> None:
    model, expected = loaded(name), expected_of(name)
    answers = model.predict(columns_of_rows())
    # H2O's tool leaves calibrated probabilities out.
    assert [one for one in answers if not one.startswith("cal_")] == list(expected)
    for column, theirs in expected.items():
        ours = answers[column]
        if ours.dtype == object:
            assert ours.tolist() == theirs
        else:
            np.testing.assert_array_max_ulp(ours.astype(np.float64), np.array(theirs), maxulp=1)


@pytest.mark.parametrize("name", TO_THE_BIT)
def test_a_single_row_has_the_answer_that_it_has_among_others(name: str) -> None:
    model, columns = loaded(name), columns_of_rows()
    together = model.predict(columns)
    for place in range(0, 60, 7):
        row = {column: values[place] for column, values in columns.items() if values[place] is not ABSENT}
        assert repr(model.predict(row)) == repr({column: values.tolist()[place] for column, values in together.items()})


def test_one_hot_models_with_offset_and_weights_answer_as_the_cluster_does() -> None:
    # H2O's own scorer counts these columns among the numbers before the slots, and fails.
    columns = {
        name: [None if value is ABSENT else value for value in column] for name, column in columns_of_rows().items()
    }
    with (FOLDER / "gbm_one_hot_offset.cluster.csv").open(encoding="utf-8") as stream:
        theirs = [float(row["predict"]) for row in csv.DictReader(stream)]
    known = [
        place for place in range(60) if all(columns[name][place] != "never seen" for name in ("kind", "town", "code"))
    ]
    ours = loaded("gbm_one_hot_offset").predict(columns)["predict"]
    assert len(known) > 30
    np.testing.assert_allclose(ours[known], np.array(theirs)[known], rtol=1e-14)


def test_the_signature_has_inputs_with_levels_and_outputs_with_h2os_names() -> None:
    model = loaded("drf_enum")
    inputs = {spec.name: spec for spec in model.signature.inputs}
    assert model.signature.kind == "columns"
    assert inputs["size"].datatype == "FP64"
    assert (inputs["code"].datatype, inputs["code"].categories) == ("BYTES", ("1", "10", "2", "33"))
    assert [(spec.name, spec.datatype) for spec in model.signature.outputs] == [
        ("predict", "BYTES"),
        ("p3", "FP64"),
        ("p4", "FP64"),
        ("p5", "FP64"),
    ]
    assert model.signature.outputs[0].categories == ("3", "4", "5")


def test_encoded_models_take_the_columns_of_the_training() -> None:
    for encoding in ENCODINGS:
        names = {spec.name for spec in loaded(f"gbm_{encoding}").signature.inputs}
        assert names == set(ROW)


def test_calibrated_probabilities_come_last() -> None:
    answer = loaded("gbm_platt").predict(ROW)
    assert list(answer) == ["predict", "no", "yes", "cal_no", "cal_yes"]
    assert answer["cal_no"] + answer["cal_yes"] == pytest.approx(1)


def test_a_cluster_and_a_flag_are_whole_numbers() -> None:
    assert type(loaded("kmeans").predict(ROW)["cluster"]) is int
    flagged, plain = loaded("isolation_flag").predict(ROW), loaded("isolation").predict(ROW)
    assert list(flagged) == ["predict", "score", "mean_length"]
    assert type(flagged["predict"]) is int
    assert list(plain) == ["predict", "mean_length"]
    assert type(plain["predict"]) is float


def test_numbers_are_levels_where_the_training_wrote_them_so() -> None:
    model = loaded("gbm_enum")
    expected = model.predict(ROW)
    for code in (10, 10.0, np.int64(10), np.float32(10)):
        assert model.predict({**ROW, "code": code, "flag": True}) == expected
    assert model.predict({**ROW, "size": "0.4", "count": np.int32(3)}) == expected
    assert model.unseen_levels == {}


def test_an_unseen_level_is_a_missing_value_and_counted() -> None:
    model = loaded("gbm_one_hot_explicit")
    unseen = model.predict({**ROW, "town": "nowhere"})
    assert unseen == model.predict({**ROW, "town": None})
    assert unseen == model.predict({**ROW, "town": math.nan})
    model.predict([{**ROW, "town": "nowhere"}, {**ROW, "kind": "A"}])
    assert model.unseen_levels == {"town": 2, "kind": 1}


def test_an_unseen_level_is_an_error_when_strict() -> None:
    model = loaded("gbm_enum")
    with pytest.raises(mojo.MojoRowError, match="'town': the training had no level 'nowhere'"):
        model.predict({**ROW, "town": "nowhere"}, strict=True)
    with pytest.raises(mojo.MojoRowError, match="'nowhere'"):
        model.predict([ROW, {**ROW, "town": "nowhere"}], strict=True)
    assert model.predict(ROW, strict=True) == model.predict(ROW)


def test_a_text_that_is_no_number_is_an_error_unless_forgiven() -> None:
    model = loaded("gbm_enum")
    with pytest.raises(mojo.MojoRowError, match="'size': 'small' is no number"):
        model.predict({**ROW, "size": "small"})
    forgiven = model.predict({**ROW, "size": "small"}, invalid_as_missing=True)
    assert forgiven == model.predict({**ROW, "size": None})


def test_a_column_that_is_left_out_is_none_at_all() -> None:
    model = loaded("gbm_enum")
    without = {name: value for name, value in ROW.items() if name != "kind"}
    assert model.predict(without) == model.predict({**ROW, "kind": None})
    assert model.predict({}) == model.predict([{}])[0]


def test_the_offset_is_an_input_of_models_that_use_it() -> None:
    for name in ("gbm_offset", "glm_offset"):
        model = loaded(name)
        assert model.signature.inputs[-1].name == "shift"
        without, with_offset = model.predict(ROW)["predict"], model.predict({**ROW, "shift": 2})["predict"]
        assert with_offset == pytest.approx(without + 2)
        assert model.predict([ROW, {**ROW, "shift": "2"}]) == [{"predict": without}, {"predict": with_offset}]


def test_vectors_of_words() -> None:
    model = loaded("word2vec")
    first = model.predict({"word": "a"})
    assert list(first) == ["C1", "C2", "C3"]
    several = model.predict({"word": ["a", "unknown", None]})
    assert several["C1"][0] == first["C1"]
    assert np.isnan(several["C2"][1:]).all()
    place = float(model.fields[0].levels.index("a"))  # type: ignore[union-attr]
    numbers = model.predict(np.array([[place], [-1.0], [1e18], [math.inf], [math.nan]]))
    assert numbers[0].tolist() == list(first.values())
    assert np.isnan(numbers[1:]).all()
    assert model.unseen_levels == {"word": 1}


def test_an_array_is_numeric_rows_in_and_scores_out() -> None:
    model = loaded("gbm_enum")
    rows = model.builder.matrix(columns_of_rows(), 60)
    scores = model.predict(rows)
    named = model.predict(columns_of_rows())
    assert scores.shape == (60, 3)
    np.testing.assert_array_equal(scores[:, 1], named["no"])
    assert [("no", "yes")[int(place)] for place in scores[:, 0]] == named["predict"].tolist()
    with pytest.raises(InvalidInput, match="numeric rows"):
        model.predict(rows[:, :3])


def test_an_unpacked_folder_is_a_model_as_well(tmp_path: Path) -> None:
    with zipfile.ZipFile(FOLDER / "gbm_binary.zip") as archive:
        archive.extractall(tmp_path)
    assert mojo.load(tmp_path).predict(ROW) == loaded("gbm_binary").predict(ROW)


def test_threads_may_share_a_model() -> None:
    model = loaded("gbm_enum")
    expected = repr(model.predict(ROW))
    answers: list[str] = []

    def ask() -> None:
        answers.extend(repr(model.predict({**ROW, "extra": "x"})) for _ in range(50))
        model.predict({**ROW, "kind": "?"})

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 200
    assert model.unseen_levels == {"kind": 4}


def test_a_path_that_leads_nowhere_and_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no file"):
        mojo.load(tmp_path / "none.zip")
    other = tmp_path / "other.zip"
    other.write_bytes(b"PK no zip")
    with pytest.raises(mojo.MojoFormatError, match=r"other\.zip"):
        mojo.load(other)


_ENTRIES = ("model.ini", "_orig_names", "_orig_domain_values_2")


@pytest.mark.parametrize("entry", _ENTRIES)
@pytest.mark.parametrize("seed", range(3))
def test_damaged_texts_give_no_other_error_than_ours(tmp_path: Path, entry: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    source = FOLDER / "gbm_one_hot_explicit.zip"
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if not name.startswith("experimental")}
    for _ in range(40):
        data = bytearray(entries[entry])
        match generator.integers(3):
            case 0:
                del data[int(generator.integers(len(data))) :]
            case 1:
                data[int(generator.integers(len(data)))] ^= 1 << int(generator.integers(8))
            case _:
                place = int(generator.integers(len(data)))
                data[place : place + 1] = bytes(generator.integers(0, 256, 3, dtype=np.uint8))
        target = tmp_path / "damaged.zip"
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, bytes(data) if name == entry else content)
        with contextlib.suppress(mojo.MojoFormatError, mojo.MojoUnsupportedError, mojo.MojoRowError):
            mojo.load(target).predict(ROW)


def test_a_cut_archive_gives_no_other_error_than_ours(tmp_path: Path) -> None:
    data = (FOLDER / "gbm_binary.zip").read_bytes()
    target = tmp_path / "cut.zip"
    for size in range(0, len(data), 997):
        target.write_bytes(data[:size])
        with pytest.raises(mojo.MojoFormatError):
            mojo.load(target)


def test_scoring_files(tmp_path: Path) -> None:
    model, out = loaded("gbm_platt"), io.StringIO()
    shutil.copy(FOLDER / "rows.csv", tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as stream:
        assert mojo.score_csv(model, stream, out) == 60
    written: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(out.getvalue())))
    answers = model.predict(columns_of_rows())
    assert list(written[0]) == list(answers)
    assert [float(row["yes"]) for row in written] == answers["yes"].tolist()


def test_a_long_file_has_the_numbers_of_one_call_where_rows_depend_on_those_before() -> None:
    model, rows, out = mojo.load(DATA / "models" / "glrm_mixed.zip"), BLOCK + 3, io.StringIO()
    assert model.is_in_order
    column = next(spec.name for spec in model.signature.inputs if spec.datatype == "FP64")
    text = f"{column}\n" + "0.5\n" * rows
    assert mojo.score_csv(model, io.StringIO(text), out) == rows
    written = [float(row["Arch1"]) for row in csv.DictReader(io.StringIO(out.getvalue()))]
    assert written == model.predict({column: [0.5] * rows})["Arch1"].tolist()
    assert written[BLOCK:] != written[:3]


def test_trees_tell_their_leaves_and_stages() -> None:
    model = loaded("gbm_enum")
    paths, numbers = model.leaf_assignment([ROW, {}]), model.leaf_assignment(ROW, "node_id")
    assert list(paths[0]) == list(numbers) == ["T1.C1", "T2.C1", "T3.C1", "T4.C1"]
    assert all(set(path) <= {"L", "R"} for path in paths[0].values())
    stages = model.staged_probabilities(ROW)
    assert stages["T4.C1"] == pytest.approx(model.predict(ROW)["no"], abs=1e-12)


def test_contributions_add_up_to_the_prediction() -> None:
    model = loaded("gbm_offset")
    told = model.contributions(pd.DataFrame([ROW, {**ROW, "size": -2.0}]))
    assert list(told.columns) == [*model.header.features, "BiasTerm"]
    expected = model.predict([ROW, {**ROW, "size": -2.0}])
    assert told.sum(axis=1).tolist() == pytest.approx([one["predict"] for one in expected], abs=1e-5)


def test_the_nearest_centre_has_the_smallest_distance() -> None:
    model = loaded("kmeans")
    distances = list(model.distances(ROW).values())
    assert distances.index(min(distances)) == model.predict(ROW)["cluster"]


def test_a_model_without_such_things_says_so() -> None:
    for ask in (loaded("glm_offset").leaf_assignment, loaded("drf_enum").contributions, loaded("gbm_enum").distances):
        with pytest.raises(mojo.MojoUnsupportedError):
            ask(ROW)
