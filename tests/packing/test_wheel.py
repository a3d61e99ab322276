"""The wheel of the Tidegate that runs here is one that pip installs and that is Tidegate."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

from tidegate.packing.wheel import write_wheel


def written(folder: Path) -> Path:
    folder.mkdir()
    own = metadata.distribution("tidegate")
    texts = [own.read_text(name) or "" for name in ("METADATA", "entry_points.txt")]
    return write_wheel(folder, Path(str(resources.files("tidegate"))), own.version, *texts)


def test_it_is_installed_by_pip_with_its_runtimes_and_the_files_of_images(tmp_path: Path) -> None:
    wheel, target = written(tmp_path / "wheel"), tmp_path / "target"
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import tidegate\nfrom importlib import metadata, resources\n"
        "(own,) = metadata.distributions(name='tidegate', path=[sys.argv[1]])\n"
        "runtimes = sorted(point.name for point in own.entry_points if point.group == 'tidegate.runtimes')\n"
        "print(tidegate.__file__, own.version, runtimes)\n"
        "print((resources.files('tidegate.packing') / 'Dockerfile').read_text()[:7])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(target)], check=True, capture_output=True, text=True
    )
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{target}/tidegate/__init__.py {metadata.version('tidegate')} [")
    assert "'mojo'" in first
    assert second == "# One m"
    assert not list(target.glob("tidegate/**/*.nbi"))


def test_equal_code_is_an_equal_file(tmp_path: Path) -> None:
    assert written(tmp_path / "one").read_bytes() == written(tmp_path / "two").read_bytes()
