"""The comparison with H2O's scorer, with a program in Java's place; and files of rows."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest

from tests.runtime.mojo.damage import entries_of
from tests.runtime.mojo.matrix.kept import DATA
from tests.support.mojos import FOLDER, ROWS
from tidegate import mojo
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.mojo.delimited import NOTHING, read_blocks
from tidegate.runtime.mojo.genmodel_faults import fault_of
from tidegate.runtime.mojo.genmodel_tool import records
from tidegate.runtime.mojo.values import ABSENT

SMALL = Path(__file__).parent / "data" / "small"


def program(folder: Path, body: str) -> str:
    path = folder / "java"
    path.write_text(f"#!{sys.executable}\nimport shutil, sys\nout = sys.argv[sys.argv.index('--output') + 1]\n{body}\n")
    path.chmod(0o755)
    return str(path)


def verified(folder: Path, name: str, body: str) -> mojo.Verification:
    jar = folder / "h2o.jar"
    jar.touch()
    return mojo.verify(FOLDER / f"{name}.zip", ROWS, jar=str(jar), java=program(folder, body))


@pytest.mark.parametrize("name", ["gbm_platt", "glm_offset", "isolation_flag", "kmeans"])
def test_what_h2o_answered_agrees(tmp_path: Path, name: str) -> None:
    found = verified(tmp_path, name, f"shutil.copy({str(FOLDER / f'{name}.csv')!r}, out)")
    assert found.rows == 60
    assert found.agrees(1e-15)
    assert [one.differing for one in found.outputs] == [0] * len(found.outputs)


def test_differences_are_told_with_their_row(tmp_path: Path) -> None:
    lines = (FOLDER / "gbm_enum.csv").read_text(encoding="utf-8").splitlines()
    label, no, yes = lines[8].split(",")
    lines[8] = ",".join(["maybe", (float.fromhex(no) + 1e-6).hex(), yes])
    lines[9] = lines[9].rpartition(",")[0] + ",NaN"
    (tmp_path / "answer.csv").write_text("\n".join(lines) + "\n")
    found = verified(tmp_path, "gbm_enum", f"shutil.copy({str(tmp_path / 'answer.csv')!r}, out)")
    predict, first, second = found.outputs
    assert (predict.differing, predict.row, predict.is_label) == (1, 7, True)
    assert (first.differing, first.row) == (1, 7)
    assert first.worst == pytest.approx(1e-6 / float.fromhex(no), rel=1e-3)
    assert (second.differing, second.row, second.worst) == (1, 8, float("inf"))
    assert not found.agrees(1e-3)
    assert label in ("no", "yes")


def test_a_scorer_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ArrayIndexOutOfBoundsException: Index 27"):
        verified(tmp_path, "gbm_enum", "sys.exit('Caused by: java.lang.ArrayIndexOutOfBoundsException: Index 27')")
    with pytest.raises(InvalidInput, match="does not score models of this category"):
        verified(tmp_path, "word2vec", "sys.exit('Exception: category WordEmbedding is not supported.')")


def test_calibrated_probabilities_are_told_as_not_compared(tmp_path: Path) -> None:
    found = verified(tmp_path, "gbm_platt", f"shutil.copy({str(FOLDER / 'gbm_platt.csv')!r}, out)")
    assert [one.name for one in found.outputs] == ["predict", "no", "yes"]
    assert found.left_out == ("cal_no", "cal_yes")
    assert verified(tmp_path, "kmeans", f"shutil.copy({str(FOLDER / 'kmeans.csv')!r}, out)").left_out == ()


def test_calibrated_probabilities_are_asked_for_and_compared(tmp_path: Path) -> None:
    model = mojo.load(FOLDER / "gbm_platt.zip")
    rows = list(csv.DictReader(io.StringIO(ROWS.read_text(encoding="utf-8-sig"))))
    answers = model.predict(
        [{k: v for k, v in row.items() if v not in NOTHING} for row in rows], invalid_as_missing=True
    )
    lines = [",".join(answers[0]), *(",".join(map(as_written, answer.values())) for answer in answers)]
    answer = tmp_path / "answer.csv"
    answer.write_text("\n".join(lines) + "\n")
    asked = f"assert '--predictCalibrated' in sys.argv\nshutil.copy({str(answer)!r}, out)"

    found = verified(tmp_path, "gbm_platt", asked)

    assert [one.name for one in found.outputs] == ["predict", "no", "yes", "cal_no", "cal_yes"]
    assert found.left_out == ()
    assert found.agrees(0.0)


def test_an_older_tool_is_not_asked_for_calibrated_probabilities(tmp_path: Path) -> None:
    refused = "if '--predictCalibrated' in sys.argv:\n    sys.exit('ERROR: Unknown command line argument: --x')\n"
    found = verified(tmp_path, "gbm_platt", f"{refused}shutil.copy({str(FOLDER / 'gbm_platt.csv')!r}, out)")
    assert found.left_out == ("cal_no", "cal_yes")
    with pytest.raises(Unavailable, match="Unknown command line argument"):
        verified(tmp_path, "kmeans", "sys.exit('ERROR: Unknown command line argument: --x')")


def as_written(value: object) -> str:
    return value.hex() if isinstance(value, float) else str(value)


#: The tool takes a backslash for an escape, and a line that does not end with a comma into the next.
ODD_CELLS = {
    "back\\slash": r'"back\\slash"',
    'a "quote"': '"a ""quote"""',
    "two\nlines": '"two\nlines"',
    "a,b": '"a,b"',
}


def test_rows_are_handed_over_as_the_tool_reads_them(tmp_path: Path) -> None:
    rows, seen = tmp_path / "odd.csv", tmp_path / "seen.csv"
    with rows.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["kind", "größe", "note"])
        writer.writerows([cell, "", "with a\r return"] for cell in ODD_CELLS)
    body = f"shutil.copy(sys.argv[sys.argv.index('--input') + 1], {str(seen)!r})"
    body += "\nassert '-Dfile.encoding=UTF-8' in sys.argv"
    (tmp_path / "h2o.jar").touch()
    java = program(tmp_path, f"{body}\nopen(out, 'w').write('cluster\\n' + '0\\n' * {len(ODD_CELLS)})")

    mojo.verify(FOLDER / "kmeans.zip", rows, jar=str(tmp_path / "h2o.jar"), java=java)

    lines = ['"kind","größe","note",', *(f'{cell},,"with a\r return",' for cell in ODD_CELLS.values())]
    assert seen.read_bytes().decode() == "".join(f"{line}\n" for line in lines)


def test_a_cell_that_the_tool_cannot_read_is_refused(tmp_path: Path) -> None:
    rows = tmp_path / "odd.csv"
    rows.write_bytes(b'kind,size\na,1\n"b\rc",2\n')
    (tmp_path / "h2o.jar").touch()
    java = program(tmp_path, "raise SystemExit('started')")
    with pytest.raises(InvalidInput, match="row 2: 'kind' has a carriage return"):
        mojo.verify(FOLDER / "kmeans.zip", rows, jar=str(tmp_path / "h2o.jar"), java=java)


@pytest.mark.parametrize("last", ["", "\n", ",0x1.0p0\n", "row\n"])
def test_labels_may_hold_commas_and_line_feeds(last: str) -> None:
    names, labels = ("predict", "a,0x1.0p0", "two\nlines"), ("a,0x1.0p0", "two\nlines")
    text = f"{','.join(names)}\na,0x1.0p0,0x1.8p-1,0x1.0p-2\ntwo\nlines,NA,-Infinity\n"
    assert records(text, names, labels) == [["a,0x1.0p0", "0x1.8p-1", "0x1.0p-2"], ["two\nlines", "NA", "-Infinity"]]
    assert not last or records(text + last, names, labels) == []


def test_names_of_outputs_may_hold_line_feeds() -> None:
    text = "reconstr_a.two\nlines,reconstr_a.car\rriage\n0x1.8p-1,0x1.0p-2\nNA,0x0.0p0\n"
    found = records(text, ("reconstr_a.two\nlines", "reconstr_a.car\rriage"), None)
    assert found == [["0x1.8p-1", "0x1.0p-2"], ["NA", "0x0.0p0"]]


def test_a_failure_that_is_known_of_such_models_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="That is known: it counts the offset") as raised:
        verified(tmp_path, "gbm_one_hot_offset", "sys.exit('java.lang.ArrayIndexOutOfBoundsException: Index 27')")
    assert "ArrayIndexOutOfBounds" in raised.value.message
    with pytest.raises(Unavailable) as raised:
        verified(tmp_path, "gbm_one_hot_explicit", "sys.exit('java.lang.ArrayIndexOutOfBoundsException: Index 27')")
    assert raised.value.hint is None


def test_an_offset_that_is_refused_is_no_category(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="`offset` column is not supported"):
        verified(tmp_path, "gbm_enum", "sys.exit('UnsupportedOperationException: `offset` column is not supported')")


#: Models whose answers are not genmodel's but the cluster's (see `test_matrix`), with what is said of them.
FAULTS = {
    "deep_learning_limited_levels": "enum_limited",
    "deep_learning_offset": "leaves out the offset",
    "gam_cubic_offset": "refuses rows",
    "gam_i_splines_2": "I-splines",
    "gam_m_splines_3_real": "I-splines",
    "gam_thin_plate_standardized": "standardised",
    "kmeans_encoded_one_hot": "for missing values",
    "rulefit_odd": "a level called null",
    "stacked_sorted": "as they are numbered outside",
    "xgboost_encoded_one_hot_explicit": "for missing values",
}


@pytest.mark.parametrize("name", FAULTS)
def test_models_for_which_h2os_scorer_is_wrong_are_known(name: str) -> None:
    path = next(path for path in sorted((DATA / "models").glob("*.zip")) if path.stem.startswith(name))
    assert FAULTS[name] in str(fault_of(mojo.load(path)))


@pytest.mark.parametrize("name", ["coxph_strata_a", "coxph_strata_b", "coxph_strata_c"])
def test_interactions_within_strata_are_among_them(name: str) -> None:
    assert "columns of strata" in str(fault_of(mojo.load(SMALL / f"{name}.zip")))


@pytest.mark.parametrize("name", ["coxph_ints_false", "coxph_ints_true", "coxph_strat2_false"])
def test_interactions_alone_and_strata_alone_are_not(name: str) -> None:
    assert fault_of(mojo.load(SMALL / f"{name}.zip")) is None


@pytest.mark.parametrize(
    ("name", "is_wrong"), [("null", False), ("7", True), ("1e3", True), ("true", True), ("[1]", True)]
)
def test_rules_over_what_reads_as_no_text_are_among_them(name: str, is_wrong: bool, tmp_path: Path) -> None:
    entries = entries_of(SMALL / "rulefit_na_reg_rules.zip")
    entries["model.ini"], count = re.subn(
        rb"(feature_name_\S+ = )\S+", lambda found: found[1] + name.encode(), entries["model.ini"], count=1
    )
    assert count == 1
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
    assert fault_of(mojo.load(SMALL / "rulefit_na_reg_rules.zip")) is None
    assert (fault_of(mojo.load(tmp_path / "model.zip")) is not None) == is_wrong


@pytest.mark.parametrize(
    "path",
    [
        *(
            FOLDER / f"{name}.zip"
            for name in ("gbm_one_hot_explicit", "gbm_offset", "drf_binary", "glm_offset", "kmeans")
        ),
        *(
            DATA / "models" / f"{name}.zip"
            for name in (
                "gam_cubic_standardized",
                "gam_m_splines_2",
                "uplift_encoded_one_hot_explicit",
                "gam_mixed_kinds",
                "gam_thin_plates",
                "gbm_fold_weights_offset",
                "stacked_real_gbm",
            )
        ),
    ],
    ids=lambda path: path.stem,
)
def test_models_for_which_it_is_right_are_not_among_them(path: Path) -> None:
    assert fault_of(mojo.load(path)) is None


def test_answers_of_another_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="another form"):
        verified(tmp_path, "gbm_enum", "open(out, 'w').write('predict\\n1\\n')")
    with pytest.raises(Unavailable, match="'x'"):
        verified(tmp_path, "kmeans", "open(out, 'w').write('cluster\\n' + 'x\\n' * 60)")


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="There is no file"):
        mojo.verify(FOLDER / "gbm_enum.zip", tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match=r"none\.jar"):
        mojo.verify(FOLDER / "gbm_enum.zip", ROWS, jar=str(tmp_path / "none.jar"), java="java")
    with pytest.raises(Unavailable, match="cannot be started"):
        mojo.verify(FOLDER / "gbm_enum.zip", ROWS, jar=str(ROWS), java=str(tmp_path / "none"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="not at hand"):
        mojo.verify(FOLDER / "gbm_enum.zip", ROWS, java="java")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Unavailable, match="no Java"):
        mojo.verify(FOLDER / "gbm_enum.zip", ROWS, jar=str(ROWS))


def test_cells_with_nothing_in_them_are_absent() -> None:
    stream = io.StringIO('a,"b, c"\n,NA\n"x ",-\nN/A,na\n')
    assert list(read_blocks(stream, "rows")) == [({"a": [ABSENT, "x ", ABSENT], "b, c": [ABSENT, ABSENT, "na"]}, 3)]


def test_blocks_hold_all_rows() -> None:
    stream = io.StringIO("a\n" + "".join(f"{number}\n" for number in range(7)))
    assert [size for _, size in read_blocks(stream, "rows", block=3)] == [3, 3, 1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "no line with the names"), ("a,a\n1,2\n", "several columns called 'a'"), ("a,b\n1\n", "line 2: 1 cells")],
)
def test_files_that_are_no_such_csv_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        list(read_blocks(io.StringIO(text), "rows"))


def test_answers_as_json_have_null_where_there_is_no_number() -> None:
    model, out = mojo.load(FOLDER / "word2vec.zip"), io.StringIO()
    mojo.score_csv(model, io.StringIO("word\na\nunknown\n"), out, as_json=True)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first == model.predict({"word": "a"})
    assert second == {"C1": None, "C2": None, "C3": None}


def test_a_model_is_described() -> None:
    told = mojo.describe(FOLDER / "gbm_one_hot_explicit.zip")
    assert (told["algorithm"], told["mojo_version"], told["trees"]) == ("Gradient Boosting Machine", 1.4, 4)
    assert (told["encoding"], told["classes"], told["problem"]) == ("OneHotExplicit", ["no", "yes"], None)
    assert [one["levels"] for one in told["inputs"] if one["name"] == "kind"] == [["a", "b", "c"]]
    assert told["outputs"] == ["predict", "no", "yes"]
    assert 0 < told["memory_bytes"] < 100_000
    assert 0.0 < told["threshold"] < 1.0
    json.dumps(told)


def test_a_model_that_cannot_be_scored_is_described_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tidegate.runtime.mojo.forests", None)
    told = mojo.describe(FOLDER / "gbm_enum.zip")
    assert "cannot be scored" in told["problem"]
    assert (told["inputs"], told["outputs"], told["memory_bytes"]) == (None, None, None)
