"""Messages through Apprise: Slack, e-mail, PagerDuty and a hundred others. The one module that imports it."""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec

from tidegate.notify.message import Tone
from tidegate.notify.outcome import Outcome

MISSING = "messages need Apprise, which is not installed"
INSTALL = "pip install 'tidegate[notify]'"


def is_installed() -> bool:
    return find_spec("apprise") is not None


def understands(url: str) -> bool:
    """Say whether Apprise knows the service and finds in the URL what it needs. Loads Apprise: not for the loop."""
    import apprise

    _silence()
    return bool(apprise.Apprise().add(url))


async def post_message(url: str, title: str, body: str, tone: Tone, timeout_seconds: float) -> Outcome:
    """Send the message. Apprise says only whether it went; why it did not may hold secrets, so it is not asked."""
    if not is_installed():
        return Outcome(delivered=False, detail=f"{MISSING}: {INSTALL}")
    try:
        async with asyncio.timeout(timeout_seconds):
            went = await asyncio.to_thread(_send, url, title, body, tone)
    except TimeoutError:
        return Outcome(delivered=False, detail=f"no answer within {timeout_seconds:g} s")
    except Exception as error:  # noqa: BLE001 - of whatever service it is; its text may hold the URL
        return Outcome(delivered=False, detail=f"the call failed: {type(error).__name__}")
    if went is None:
        return Outcome(delivered=False, detail="Apprise does not understand this URL")
    return Outcome(delivered=True) if went else Outcome(delivered=False, detail="the service did not take it")


def _send(url: str, title: str, body: str, tone: Tone) -> bool | None:
    import apprise

    _silence()
    service = apprise.Apprise()
    if not service.add(url):
        return None
    # Text as it is: what came from a person or an error must not be read as markup.
    kind = apprise.NotifyType(tone)
    return bool(service.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT))


def _silence() -> None:
    """Apprise's log holds URLs, and parts of them in words of its own."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
