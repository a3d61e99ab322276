"""A real SMTP server on loopback (RFC 5321, no more of it than a client needs) that keeps what it gets."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class Mail:
    """One message: from whom and to whom as the envelope says, and what is in it."""

    sender: str
    receivers: list[str]
    content: EmailMessage


@dataclass
class Mailbox:
    """What came in. `answers` to whole messages are given one after the other, the last one for ever."""

    answers: list[str] = field(default_factory=lambda: ["250 kept"])
    got: list[Mail] = field(default_factory=list)
    port: int = 0


@contextmanager
def taking_mail(answers: Sequence[str] = ("250 kept",)) -> Iterator[Mailbox]:
    """Run a mailbox on a free port."""
    mailbox = Mailbox(list(answers))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            sender, receivers = "", []
            self._say("220 mailbox")
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                address = rest.partition("<")[2].partition(">")[0]
                match verb.upper():
                    case "QUIT":
                        self._say("221 bye")
                        return
                    case "MAIL":
                        sender, receivers = address, []
                    case "RCPT":
                        receivers.append(address)
                    case "DATA":
                        self._say("354 go on")
                        content = email.message_from_bytes(self._data(), EmailMessage, policy=email.policy.default)
                        answer = mailbox.answers.pop(0) if len(mailbox.answers) > 1 else mailbox.answers[0]
                        if answer.startswith("2"):
                            mailbox.got.append(Mail(sender, receivers, content))
                        self._say(answer)
                        continue
                self._say("250 yes")

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def _data(self) -> bytes:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            return b"".join(lines)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()
