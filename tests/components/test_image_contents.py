"""What names of images tell."""

from __future__ import annotations

import pytest

from tidegate.components.image_contents import contents_of, java_versions
from tidegate.components.records import Component


@pytest.mark.parametrize(
    ("image", "versions"),
    [
        ("eclipse-temurin:17-jre", "==17.*"),
        ("docker.io/library/eclipse-temurin:21.0.5_11-jdk-noble@sha256:00", "==21.*"),
        ("openjdk:8u432-jre-slim", "==8.*"),
        ("amazoncorretto:11-alpine3.20", "==11.*"),
        ("registry.example.com:5000/azul/zulu-openjdk-alpine:17.0.13-jre", "==17.*"),
        ("ibm-semeru-runtimes:open-17.0.13_11-jre", "==17.*"),
        ("mcr.microsoft.com/openjdk/jdk:17-ubuntu", "==17.*"),
        ("ghcr.io/graalvm/graalvm-ce:ol9-java17-22.3.3", "==17.*"),
        ("adoptopenjdk/openjdk11:jre", "==11.*"),
        ("registry.access.redhat.com/ubi9/openjdk-17-runtime:1.21", "==17.*"),
        ("gcr.io/distroless/java17-debian12", "==17.*"),
        ("maven:3.9-eclipse-temurin-21", "==21.*"),
        ("gradle:8.10-jdk17-alpine", "==17.*"),
        ("eclipse-temurin:latest", ""),
        ("eclipse-temurin", ""),
    ],
)
def test_a_java_is_known_by_its_image(image: str, versions: str) -> None:
    (one,) = contents_of(image)
    assert (one.component, str(one.versions)) == (Component.JAVA, versions)


@pytest.mark.parametrize(
    ("image", "versions"),
    [("python:3.11-slim", "==3.11.*"), ("python:3.12.4", "==3.12.4.*"), ("ghcr.io/mirror/python:3.9", "==3.9.*")],
)
def test_a_python_is_known_by_its_image(image: str, versions: str) -> None:
    (one,) = contents_of(image)
    assert (one.component, str(one.versions)) == (Component.PYTHON, versions)


@pytest.mark.parametrize("image", ["python:3", "python", "python:slim", "python:${PYTHON}", "eclipse-temurin:$JAVA"])
def test_a_tag_that_tells_nothing_is_no_version(image: str) -> None:
    (one,) = contents_of(image)
    assert one.versions is None
    assert one.trouble in (
        "its tag names no version, so it moves",
        "PYTHON has no value here",
        "JAVA has no value here",
    )


@pytest.mark.parametrize(
    ("image", "versions"),
    [
        ("h2oai/h2o-open-source-k8s:3.46.0.11", "==3.46.0.11"),
        ("docker.io/h2oai/h2o-open-source-k8s-minimal", ""),
    ],
)
def test_a_cluster_is_known_by_its_image(image: str, versions: str) -> None:
    (one,) = contents_of(image)
    assert (one.component, str(one.versions)) == (Component.SERVER, versions)


@pytest.mark.parametrize(
    "image", ["debian:12", "confluentinc/cp-kafka:7.9.0", "scratch", "$IMAGE", "mageai/mageai:0.9.80", ""]
)
def test_other_images_tell_nothing(image: str) -> None:
    assert list(contents_of(image)) == []


@pytest.mark.parametrize(("text", "major"), [("1.8.0_432", 8), ("17.0.13", 17), ("8u432", 8), ("21", 21)])
def test_a_java_goes_by_its_major_number(text: str, major: int) -> None:
    assert str(java_versions(text)) == f"=={major}.*"


def test_a_java_without_a_number_is_none() -> None:
    assert java_versions("latest") is None
