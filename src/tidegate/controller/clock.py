"""The time of day for those who decide: as it is shown to people, but never moving other than time does."""

from __future__ import annotations

from datetime import UTC, datetime

from tidegate.boot import boot_id, booted_at, seconds_since_boot
from tidegate.rollout import ClockSetting


class Clock:
    """Looks at the clock when told to, and between two looks carries its time on by one that nobody can set."""

    def __init__(self) -> None:
        self.setting = self.look()

    def look(self) -> ClockSetting:
        """Take over how the clock is set now, and return it."""
        self.setting = ClockSetting(boot_id(), booted_at())
        return self.setting

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.setting.booted_at + seconds_since_boot(), UTC)
