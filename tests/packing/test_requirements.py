"""What an image installs: all that the model takes, as it is here."""

from __future__ import annotations

import pytest

from tidegate.packing.requirements import Installed, pinned

HERE = {
    "server": Installed(
        "1.0",
        (
            "Web.Framework>=2",
            "proxy>=1",
            "fast[io]>=3",
            "numbers",
            "old; python_version < '3'",
            "rpc>=5; extra == 'grpc'",
            "server[grpc,more]; extra == 'all'",
            "missing[x]>=7,<8; extra == 'more'",
        ),
    ),
    "web-framework": Installed("2.4", ("server",)),
    "fast": Installed("3.1", ("loop; extra == 'io'", "unused; extra == 'other'")),
    "loop": Installed("0.9"),
    "numbers": Installed("2.0+cpu"),
    "proxy": Installed("1.40", ("of-the-proxy",)),
    "of-the-proxy": Installed("1"),
    "rpc": Installed("5.5"),
    "unused": Installed("1"),
}


@pytest.mark.parametrize(
    ("roots", "lines"),
    [
        (["server"], ["fast==3.1", "loop==0.9", "numbers==2.0", "server==1.0", "web-framework==2.4"]),
        (["rpc"], ["rpc==5.5"]),
        (["fast", "fast[io]"], ["fast==3.1", "loop==0.9"]),
        (["nowhere[b,a]>=1; python_version > '3'"], ["nowhere[a,b]>=1"]),
        ([], []),
    ],
)
def test_what_is_installed_is_pinned_with_all_that_it_requires(roots: list[str], lines: list[str]) -> None:
    assert pinned(roots, HERE.get, ["Proxy"]) == lines


def test_extras_count_through_other_extras_and_what_is_not_here_is_as_it_is_asked_for() -> None:
    found = pinned(["server[all]"], HERE.get, ["proxy"])
    assert {"rpc==5.5", "missing[x]<8,>=7"} <= set(found)
    assert "of-the-proxy==1" not in found
