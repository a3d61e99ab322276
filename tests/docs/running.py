"""Runs the blocks of a page as a reader would: programs are saved, commands typed in order, answers compared.

In the fence, behind the language, stands how: a file's name (save the block under it), `not-run`, `exit-N` (the last
command ends so), `second-terminal` (start it and leave it running; in a `text` block: what it has written once it is
stopped with Ctrl-C). A `text` block is what the commands before it write: each of its lines must be found there; a
number counts as equal to any other, and `…` stands for anything.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import Block, Page

#: Where the pages say that Tidegate listens; in a test it is elsewhere.
GATEWAY, CONTROLLER = "127.0.0.1:8080", "127.0.0.1:8081"
COMMAND_SECONDS = 150.0


@dataclass
class Reader:
    """Somebody who follows a page in a folder, with a home and ports of their own."""

    folder: Path
    home: Path
    told: str = ""
    #: What stands for addresses of the page, e.g. ports that it names and that may be taken here.
    instead: dict[str, str] = field(default_factory=dict)
    others: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        own = {"TIDEGATE_HOME": str(self.home), "TIDEGATE_PORT": "0", "TIDEGATE_GATEWAY_PORT": "0", "COLUMNS": "250"}
        return {**os.environ, **own, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def follow(self, page: Page) -> None:
        """Do what the page says, from top to bottom."""
        for block in page.blocks():
            if "not-run" not in block.words:
                self._do(block)

    def _do(self, block: Block) -> None:
        text = self._here(block.text)
        if block.language in {"python", "yaml", "json", "dockerfile"} and block.words:
            (self.folder / block.words[0]).write_text(text, encoding="utf-8")
        elif block.language == "bash" and "second-terminal" in block.words:
            self.others.append(self._start(text))
        elif block.language == "bash":
            expected = next((int(word.removeprefix("exit-")) for word in block.words if word.startswith("exit-")), 0)
            self.type(block.text, expected, block.where)
        elif block.language == "text":
            compare(block, self._stop_other() if "second-terminal" in block.words else self.told)

    def _here(self, text: str) -> str:
        """Return the text with the addresses at which this reader's Tidegate listens."""
        for written, meant in self.instead.items():
            text = text.replace(written, meant)
        record = self.home / "controller.json"
        if not record.exists():
            return text
        address = json.loads(record.read_text())
        return text.replace(GATEWAY, f"127.0.0.1:{address['gateway_port']}").replace(
            CONTROLLER, f"127.0.0.1:{address['port']}"
        )

    def _start(self, text: str) -> subprocess.Popen[str]:
        # `exec`, so that a signal reaches the program and not the shell.
        return subprocess.Popen(
            ["bash", "-c", f"exec {text.strip()}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, text: str, expected: int = 0, where: str = "") -> None:
        """Run commands of a shell; what they write is in `told`."""
        done = subprocess.run(
            ["bash", "-e", "-c", self._here(text)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self.told = done.stdout
        assert done.returncode == expected, f"{where}: exit code {done.returncode}\n{done.stdout}"

    def forget(self) -> None:
        """Delete the deployment `churn`, which another page may have made."""
        self.type("tidegate delete churn --yes || true")

    def _stop_other(self) -> str:
        other = self.others.pop()
        other.send_signal(signal.SIGINT)
        try:
            return other.communicate(timeout=30)[0]
        finally:
            other.kill()

    def leave(self) -> None:
        """End what was started, whatever happened before."""
        while self.others:
            self._stop_other()
        subprocess.run(
            ["tidegate", "down"], env=self.environment, timeout=COMMAND_SECONDS, check=True, stdout=subprocess.DEVNULL
        )


def compare(block: Block, told: str) -> None:
    """Assert that every line of the block is found in what was told."""
    lines = [_same(line) for line in told.splitlines()]
    for line in filter(None, map(str.strip, block.text.splitlines())):
        pattern = ".*".join(re.escape(part) for part in _same(line).split("…"))
        assert any(re.search(pattern, found) for found in lines), f"{block.where}: {line}\nis not in\n{told}"


def _same(line: str) -> str:
    """Return the line with what may differ made equal: numbers, durations, spaces, answers that came late."""
    return " ".join(re.sub(r", # slow\b", "", re.sub(r"\d+(?:[.,]\d+)*", "#", line)).split())
