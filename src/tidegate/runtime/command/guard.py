"""The process between us and a command: it ends the command, and all that the command started, whenever we end.

Run as a script with the standard library alone: `python -I -S guard.py CONTROL_FD -- COMMAND…`. We hold the other end
of the control pipe. A byte on it means SIGTERM to the command's process group; its end, also because we were killed
with SIGKILL, means SIGKILL to everything. What the command writes goes on to standard error, up to a rate, so that a
server that logs every request fills no disk. The guard ends with the exit code of the command, 128 and the number for
a signal, once nothing of it is left.

Children of the command that go into a process group of their own are found too: the guard is a child subreaper, so
whoever loses its parent becomes its child (prctl(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

#: Lines that may come at once, a long traceback for one, and how many more in each second.
BURST_LINES, LINES_PER_SECOND = 500, 20
_LONGEST_LINE = 8192
_CHUNK = 65536
#: A pipe holds 64 KiB, unless somebody made it larger; root may make it as large as this.
_LAST_CHUNKS = 16

#: The command could not be started; what a shell says for a program that is not there.
EXIT_NOT_STARTED = 127


class Pump:
    """Passes lines on at a bounded rate and says how many it held back."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._credit = float(BURST_LINES)
        self._refilled_at = time.monotonic()
        self._held_back = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        now = time.monotonic()
        self._credit = min(BURST_LINES, self._credit + (now - self._refilled_at) * LINES_PER_SECOND)
        self._refilled_at = now
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        self._rest = rest
        self._write(lines)

    def finish(self) -> None:
        self._credit = max(self._credit, 1.0)
        self._write([self._rest] if self._rest else [])

    def _write(self, lines: list[bytes]) -> None:
        out = []
        for line in lines:
            if self._credit < 1:
                self._held_back += 1
                continue
            self._credit -= 1
            if self._held_back:
                out.append(b"(%d lines were held back)" % self._held_back)
                self._held_back = 0
            out.append(line[:_LONGEST_LINE])
        if out:
            with contextlib.suppress(OSError):
                os.write(self._target, b"\n".join(out) + b"\n")


def main(control: int, command: list[str]) -> int:
    """Run the command until it ends or the control pipe does; return its exit code."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    def before_exec() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        # Should the guard itself be killed, nobody else would end the command.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    said, written = os.pipe()
    try:
        # The guard has one thread only, so that code may run between fork and exec.
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509
        )
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror or error}\n".encode())
        return EXIT_NOT_STARTED
    os.close(written)
    code = _watch(child, control, said, woken)
    _end_all(child.pid)
    return code


def _watch(child: subprocess.Popen[bytes], control: int, said: int, woken: int) -> int:
    pump = Pump(2)
    # Not select(2): the control pipe keeps its number from the process that started us, where it may be above 1,023.
    watched = select.poll()
    for descriptor in (control, said, woken):
        watched.register(descriptor, select.POLLIN)
    silent = False
    while True:
        ready = {descriptor for descriptor, _ in watched.poll(1000)}
        if said in ready:
            data = os.read(said, _CHUNK)
            if data:
                pump.take(data)
            else:
                silent = True
                watched.unregister(said)
        if control in ready:
            if os.read(control, 1):
                _signal_group(child.pid, signal.SIGTERM)
            else:
                _signal_group(child.pid, signal.SIGKILL)
                watched.unregister(control)
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 512)
        code = child.poll()
        if code is None:
            _reap_strangers(child.pid)
            continue
        if not silent:
            _take_the_rest(said, pump)
        pump.finish()
        return code if code >= 0 else 128 - code


def _take_the_rest(said: int, pump: Pump) -> None:
    """Take what is already in the pipe; what the command left behind may keep it open, and write to it without end."""
    os.set_blocking(said, False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(_LAST_CHUNKS):
            data = os.read(said, _CHUNK)
            if not data:
                break
            pump.take(data)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _children() -> list[int]:
    """Return our children, those whose parent died before them included."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as stream:  # noqa: PTH123 (no import for one line)
            return [int(word) for word in stream.read().split()]
    except OSError:
        return []


def _reap_strangers(child: int) -> None:
    """Reap the dead among the children that we inherited."""
    for pid in _children():
        if pid != child:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _end_all(group: int) -> None:
    """Kill what the command left behind, and reap it."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        _signal_group(group, signal.SIGKILL)
        children = _children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[3:]))
