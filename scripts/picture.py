"""`python -m scripts.picture`: run the demo in a terminal of its own and draw what it showed as docs/images/demo.svg.

With a file as argument, draw what an earlier run wrote to it (`--keep FILE` writes it). Chapters that a reader of the
README can do without are left out, lines are cut at the width of the picture, and paths lose their folder.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "demo.svg"
COLUMNS = 112
#: Of the terminal that the demo sees: so wide that nothing is wrapped.
WIDE = 600

#: First words of the chapters that are shown.
SHOWN = ("v2:", "v3:", "Summary")
#: Lines that say nothing without the machine that they were written on.
LEFT_OUT = re.compile(r"^\s*(report  |.*\.(md|json)$|\$ tidegate down|What (happened|it wrote):)")
#: The day and the deployment's name say nothing here; the time of day does.
SHORTER = (re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\+00:00 (?:arrivals )?"), r"\1 ")

#: Black, red, green, yellow, blue, magenta, cyan, white.
_COLOURS = ("30363d", "ff7b72", "3fb950", "d29922", "58a6ff", "bc8cff", "39c5cf", "b1bac4")
THEME = TerminalTheme(
    (13, 17, 23), (201, 209, 217), [(int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in _COLOURS]
)


def run_demo() -> str:
    """Run the demo where it sees a terminal; return all that it wrote, escape codes included."""
    with tempfile.TemporaryDirectory(prefix="tidegate-picture-") as folder:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 100, WIDE, 0, 0))
        command = [sys.executable, "-m", "examples.flights.demo", "--folder", folder]
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(WIDE)}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs) as demo:
            os.close(theirs)
            written = b"".join(_pieces(ours))
        os.close(ours)
        if demo.returncode:
            raise SystemExit(f"the demo ended with exit code {demo.returncode}:\n{written.decode(errors='replace')}")
        return written.decode().replace(f"{folder}/", "").replace("\r\n", "\n")


def _pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody has the terminal any more
            return
        if not piece:
            return
        yield piece


def chosen(written: str) -> list[Text]:
    """Return the lines that are shown, without an empty line at either end."""
    lines: list[Text] = []
    inside = False
    pattern, replacement = SHORTER
    for line in map(Text.from_ansi, pattern.sub(replacement, written).splitlines()):
        plain = line.plain
        if plain and not plain.startswith(" "):
            inside = plain.startswith(SHOWN)
        if inside and not LEFT_OUT.match(plain):
            line.rstrip()
            lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return [line for line, after in zip(lines, [*lines[1:], Text("end")], strict=True) if line.plain or after.plain]


def draw(lines: list[Text]) -> str:
    """Return the picture. Fonts are those of whoever looks: nothing is fetched from anywhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("[dim]$[/dim] [cyan]make demo[/cyan]")
    console.print("[dim]  … three models are trained on real flights, and v1 is put into production …[/dim]")
    for line in lines:
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="Tidegate", theme=THEME, code_format=form, unique_id="tidegate")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.picture", description=__doc__)
    parser.add_argument("written", type=Path, nargs="?", help="what an earlier run wrote (default: run the demo)")
    parser.add_argument("--keep", type=Path, help="file to keep what the demo wrote")
    options = parser.parse_args()
    written = options.written.read_text(encoding="utf-8") if options.written else run_demo()
    if options.keep:
        options.keep.write_text(written, encoding="utf-8")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text("\n".join(line.rstrip() for line in draw(chosen(written)).splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
