"""Telling others: how an event reads, where it goes, and how one attempt to deliver it ends."""

from tidegate.notify.address import Unresolved, is_message, resolve
from tidegate.notify.cloudevent import cloud_event
from tidegate.notify.outcome import Outcome
from tidegate.notify.schedule import GIVE_UP_SECONDS, MOST_ATTEMPTS, next_attempt
from tidegate.notify.send import send

__all__ = [
    "GIVE_UP_SECONDS",
    "MOST_ATTEMPTS",
    "Outcome",
    "Unresolved",
    "cloud_event",
    "is_message",
    "next_attempt",
    "resolve",
    "send",
]
