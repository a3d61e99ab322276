"""Docker, as far as an image is built with it: is it there, and what came of a build?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tidegate.contract.errors import Unavailable

#: Of its engine, which is asked what it is.
_ANSWER_SECONDS = 30
_INSTEAD = "With --format context the folder to build it of is written instead, for a machine that has Docker."


@dataclass(frozen=True)
class Image:
    """An image that was built: its id (`sha256:…`), and its size with that of its base."""

    id: str
    size_bytes: int


def require_engine() -> str:
    """Return the path of `docker`, whose engine answers.

    Raises:
        Unavailable: it is not installed, or its engine does not answer.
    """
    program = shutil.which("docker")
    if program is None:
        raise Unavailable("There is no docker in the PATH.", hint=f"Install Docker. {_INSTEAD}")
    try:
        done = subprocess.run(
            [program, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{program} does not answer: {error}.", subject=program, hint=_INSTEAD) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise Unavailable(
            "Docker's engine does not answer.",
            subject=program,
            got=said,
            hint=f"Start it, or get the right to use it. {_INSTEAD}",
        )
    return program


def build_image(context: Path, tag: str, *, network: str | None = None, progress: TextIO | None = None) -> Image:
    """Build the image of a build context, under a tag.

    Args:
        network: of the commands of the build, as `docker build --network` has it.
        progress: an open file to which Docker writes what it does; None for standard error.

    Raises:
        Unavailable: Docker is not there, or the build failed.
    """
    program = require_engine()
    with tempfile.TemporaryDirectory(prefix="tidegate-pack-") as scratch:
        id_file = Path(scratch, "id")
        command = [program, "build", "--tag", tag, "--iidfile", str(id_file)]
        command += ["--network", network] if network else []
        stream = progress or sys.stderr
        stream.flush()
        try:
            # Its own descriptor, so that it may redraw where that is a terminal.
            code = subprocess.run([*command, str(context)], stdout=stream, stderr=stream, check=False).returncode
        except OSError as error:
            raise Unavailable(f"{program} cannot be started: {error.strerror or error}.", subject=program) from error
        if code:
            raise Unavailable(
                f"docker build ended with code {code}.", subject=tag, hint="Its last lines, above, say at which step."
            )
        built = id_file.read_text(encoding="utf-8").strip()
    return Image(built, _size_of(program, built))


def _size_of(program: str, image: str) -> int:
    done = subprocess.run([program, "image", "inspect", image], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable("The image was built, and docker does not say what it is.", got=done.stderr.strip())
    return int(json.loads(done.stdout)[0]["Size"])
