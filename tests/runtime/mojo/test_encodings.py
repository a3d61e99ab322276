"""What a file says of its inputs, and what is refused. The files are made here: H2O writes no broken ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tidegate.runtime.mojo.container import open_container
from tidegate.runtime.mojo.encodings import Field, fields_of
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import read_header

ORIGINALS = {
    "_orig_names": "size\nkind\nshift\ny\n",
    "_orig_domain_values_1": " a\nb\\nc \n17\n",
}
KEYS = {
    "_n_orig_names": "4",
    "_n_orig_domain_values": "4",
    "_m_orig_domain_values_1": "3",
    "_m_orig_domain_values_0": "0",
}


def written(
    folder: Path,
    columns: list[str],
    *,
    features: int,
    keys: Mapping[str, str],
    files: Mapping[str, str] | None = None,
    domains: Mapping[int, list[str]] | None = None,
    algorithm: str = "Gradient Boosting Machine",
    version: str = "1.40",
) -> tuple[Field, ...]:
    info = {"algorithm": algorithm, "mojo_version": version, "supervised": "true", "category": "Regression"}
    info |= {"n_features": str(features), "n_columns": str(len(columns)), "n_classes": "1", **keys}
    lines = ["[info]", *(f"{key} = {value}" for key, value in info.items()), "", "[columns]", *columns, "", "[domains]"]
    for place, levels in (domains or {}).items():
        lines.append(f"{place}: {len(levels)} d{place:03}.txt")
        (folder / "domains").mkdir(exist_ok=True)
        (folder / "domains" / f"d{place:03}.txt").write_text("".join(level + "\n" for level in levels))
    (folder / "model.ini").write_text("\n".join(lines) + "\n")
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    container = open_container(folder)
    return fields_of(container, read_header(container))


def test_plain_columns_are_numbers_and_levels_with_their_codes(tmp_path: Path) -> None:
    size, kind = written(tmp_path, ["size", "kind", "y"], features=2, keys={}, domains={1: ["a", "b"]})
    assert (size.kind, size.levels, size.first) == ("number", None, 0)
    assert (kind.kind, kind.levels, kind.first, dict(kind.values)) == ("value", ("a", "b"), 1, {"a": 0.0, "b": 1.0})


def test_a_level_with_the_columns_name_before_it_is_found_without_it(tmp_path: Path) -> None:
    (kind,) = written(tmp_path, ["kind", "y"], features=1, keys={}, domains={0: ["kind.a", "b", "kind.b"]})
    assert kind.values == {"kind.a": 0.0, "b": 1.0, "kind.b": 2.0, "a": 0.0}


def test_of_a_name_that_repeats_the_last_column_counts(tmp_path: Path) -> None:
    fields = written(tmp_path, ["x", "z", "x", "y"], features=3, keys={})
    assert [(field.name, field.first) for field in fields] == [("z", 1), ("x", 2)]


def test_a_feature_that_is_also_a_column_beyond_the_features_is_no_input(tmp_path: Path) -> None:
    assert [field.name for field in written(tmp_path, ["x", "z", "x"], features=2, keys={})] == ["z"]


def test_one_hot_has_numbers_first_and_a_slot_for_missing(tmp_path: Path) -> None:
    columns = ["size", "kind.a", "kind.b", "kind.17", "kind.missing(NA)", "shift", "y"]
    keys = {**KEYS, "_genmodel_encoding": "OneHotExplicit"}
    size, kind = written(tmp_path, columns, features=5, keys=keys, files=ORIGINALS)
    assert (size.name, size.first, size.width) == ("size", 0, 1)
    assert (kind.kind, kind.first, kind.width) == ("one_hot", 1, 4)


def test_levels_of_original_columns_are_unescaped_and_trimmed(tmp_path: Path) -> None:
    keys = {**KEYS, "_genmodel_encoding": "Binary"}
    _, kind = written(tmp_path, ["size", "k:0", "k:1", "shift", "y"], features=3, keys=keys, files=ORIGINALS)
    assert (kind.kind, kind.width, kind.levels) == ("binary", 2, ("a", "b\nc", "17"))


def test_a_label_that_is_a_number_is_that_number(tmp_path: Path) -> None:
    keys = {**KEYS, "_genmodel_encoding": "LabelEncoder"}
    _, kind = written(tmp_path, ["size", "kind", "shift", "y"], features=2, keys=keys, files=ORIGINALS)
    assert kind.values == {"a": 0.0, "b\nc": 1.0, "17": 17.0}


def test_eigen_values_are_narrowed_to_single_precision(tmp_path: Path) -> None:
    keys = {**KEYS, "_genmodel_encoding": "Eigen", "_orig_projection_array": "[0.1, -0.2, 1]"}
    _, kind = written(tmp_path, ["size", "kind.Eigen", "shift", "y"], features=2, keys=keys, files=ORIGINALS)
    assert list(kind.values.values()) == [float(np.float32(0.1)), float(np.float32(-0.2)), 1.0]


def test_levels_that_a_limited_column_lost_are_the_other_one(tmp_path: Path) -> None:
    keys = {**KEYS, "_genmodel_encoding": "EnumLimited"}
    columns, domains = ["size", "kind.top_1_levels", "shift", "y"], {1: ["a", "other"]}
    _, kind = written(tmp_path, columns, features=2, keys=keys, files=ORIGINALS, domains=domains)
    assert kind.values == {"a": 0.0, "b\nc": 1.0, "17": 1.0}
    assert kind.levels == ("a", "b\nc", "17")


def test_older_files_and_other_algorithms_say_nothing_of_encodings(tmp_path: Path) -> None:
    keys = {"_genmodel_encoding": "OneHotExplicit"}
    assert written(tmp_path, ["x", "y"], features=1, keys=keys, version="1.30")[0].kind == "number"
    assert written(tmp_path, ["x", "y"], features=1, keys=keys, algorithm="Isolation Forest")[0].kind == "number"


def network_without_encoding(folder: Path, columns: list[str], domains: Mapping[int, list[str]]) -> tuple[Field, ...]:
    keys, features = {**KEYS, "_genmodel_encoding": "null"}, len(columns) - 1
    return written(
        folder, columns, features=features, keys=keys, files=ORIGINALS, domains=domains, algorithm="Deep Learning",
        version="1.10",
    )  # fmt: skip


def test_a_network_with_limited_columns_has_them_by_name_as_it_puts_levels_first(tmp_path: Path) -> None:
    columns, domains = ["kind.top_1_levels", "shift", "size", "y"], {0: ["a", "other"]}
    size, kind, shift = network_without_encoding(tmp_path, columns, domains)
    assert [(field.name, field.first) for field in (size, kind, shift)] == [("size", 2), ("kind", 0), ("shift", 1)]
    assert (kind.levels, kind.values) == (("a", "b\nc", "17"), {"a": 0.0, "b\nc": 1.0, "17": 1.0})


def test_a_network_of_which_no_column_lost_levels_has_those_of_the_user(tmp_path: Path) -> None:
    _, kind, _ = network_without_encoding(tmp_path, ["kind", "size", "shift", "y"], {0: ["17", "a", "z"]})
    assert (kind.first, dict(kind.values)) == (0, {"17": 0.0, "a": 1.0, "z": 2.0})


@pytest.mark.parametrize("made", ["kind.Eigen", "kind:0", "kind.a", "kind.top_x_levels", "size.top_1_levels"])
def test_an_encoding_that_the_file_does_not_say_is_refused(tmp_path: Path, made: str) -> None:
    with pytest.raises(MojoUnsupportedError, match="does not say how"):
        network_without_encoding(tmp_path, [made, "size", "shift", "y"], {0: ["a", "other"]})


def test_an_encoding_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MojoUnsupportedError, match="'Sideways'"):
        written(tmp_path, ["x", "y"], features=1, keys={"_genmodel_encoding": "Sideways"})


@pytest.mark.parametrize(
    ("keys", "files"),
    [
        ({"_genmodel_encoding": "Eigen"}, {}),
        ({"_genmodel_encoding": "OneHotExplicit", "_m_orig_domain_values_1": "2"}, {}),
        ({"_genmodel_encoding": "OneHotExplicit", "_n_orig_names": "3"}, {}),
        ({"_genmodel_encoding": "OneHotExplicit", "_n_orig_domain_values": "2"}, {}),
        ({"_genmodel_encoding": "Binary", "_m_orig_domain_values_0": "1"}, {}),
        ({"_genmodel_encoding": "Binary"}, {}),
        ({"_genmodel_encoding": "Eigen", "_orig_projection_array": "[1, 2]"}, {}),
        ({"_genmodel_encoding": "EnumLimited"}, {}),
        ({"_genmodel_encoding": "LabelEncoder"}, {"_orig_names": "size\nkind\nmore\nless\n"}),
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(
    tmp_path: Path, keys: Mapping[str, str], files: Mapping[str, str]
) -> None:
    with pytest.raises(MojoFormatError):
        written(
            tmp_path, ["size", "kind", "shift", "y"], features=2, keys={**KEYS, **keys}, files={**ORIGINALS, **files}
        )
