"""URLs of the services that the pages name, as Apprise takes them."""

from __future__ import annotations

import apprise
import pytest
from apprise.plugins.email.base import NotifyEmail
from apprise.plugins.pagerduty import NotifyPagerDuty
from apprise.plugins.slack import NotifySlack

from tidegate.notify import is_message
from tidegate.notify.chat import understands

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "plugin"),
    [
        (f"slack://T00000000/B00000000/{KEY[:24]}/#alerts", NotifySlack),
        (f"https://hooks.slack.com/services/T00000000/B00000000/{KEY[:24]}", NotifySlack),
        ("mailto://user:secret@example.com?to=team@example.com", NotifyEmail),
        ("mailtos://user:secret@smtp.example.com:465?from=tidegate@example.com&to=team@example.com", NotifyEmail),
        (f"pagerduty://{KEY}@key", NotifyPagerDuty),
        (f"pagerduty://{KEY}@key?region=eu", NotifyPagerDuty),
    ],
)
def test_a_url_gives_a_message_to_the_service_that_it_names(url: str, plugin: type[apprise.NotifyBase]) -> None:
    assert is_message(url)
    assert understands(url)
    service = apprise.Apprise()
    service.add(url)
    (found,) = service
    assert type(found) is plugin


def test_a_mail_goes_to_the_server_and_the_people_that_its_url_names() -> None:
    mail = apprise.Apprise.instantiate("mailtos://user:secret@smtp.example.com:465?from=a@example.com&to=b@example.org")
    assert isinstance(mail, NotifyEmail)
    assert (mail.smtp_host, mail.port, mail.from_addr[1]) == ("smtp.example.com", 465, "a@example.com")
    assert [address for _, address in mail.targets] == ["b@example.org"]


@pytest.mark.parametrize("url", ["slack://", "pagerduty://key", "mailto://", "unheard-of://key"])
def test_a_url_that_lacks_what_its_service_needs_is_not_understood(url: str) -> None:
    assert is_message(url)
    assert not understands(url)
