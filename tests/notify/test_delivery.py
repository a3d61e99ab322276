"""From the outbox of a real store to a real receiver."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.mailbox import taking_mail
from tests.support.receiver import receiving
from tidegate.controller.courier import Courier, send_test
from tidegate.controller.notifications import addressees
from tidegate.store import NewEvent, NotificationRow, RolloutRow, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "tidegate.db", addressees)


def notification(name: str, url: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "url": url, "when": ["started", "promoted"], "timeout": "10s", **fields}


def start(store: Store, *told: Mapping[str, Any], name: str = "churn") -> RolloutRow:
    return store.start_rollout(
        name,
        digest="d" * 64,
        request={"name": name, "notifications": list(told)},
        plan_state=lambda stable, candidate: {"phase": "preparing"},
        to_revision=None,
        happened=NewEvent("preparing", "begun"),
        now=datetime.now(UTC),
    )


@asynccontextmanager
async def delivering(store: Store, environ: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    task = asyncio.create_task(Courier(store, environ or {}).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def soon(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110 - what is waited for is in the store, or in a thread
            await asyncio.sleep(0.01)


def of(store: Store, row: RolloutRow) -> list[NotificationRow]:
    return store.outbox.latest(row.deployment_id)


def run(coroutine: Any) -> None:
    asyncio.run(coroutine)


def test_an_event_reaches_everybody_with_one_id_and_the_record_says_so(store: Store) -> None:
    async def main() -> None:
        with receiving() as first, receiving() as second:
            row = start(store, notification("a", first.url), notification("b", second.url))
            async with delivering(store):
                await soon(lambda: all(one.state == "delivered" for one in of(store, row)))
        (got,), (also,) = first.got, second.got
        assert got.headers["content-type"].startswith("application/cloudevents+json")
        assert got.body == also.body
        assert got.body["type"] == "tidegate.rollout.started"
        assert {one.event_id for one in of(store, row)} == {got.body["id"]}
        (attempt,) = store.outbox.attempts(of(store, row)[0].id)
        assert (attempt.number, attempt.delivered, attempt.status) == (1, True, 204)

    run(main())


def test_a_receiver_that_answers_500_and_then_200_is_told_by_the_second_attempt(store: Store) -> None:
    async def main() -> None:
        with receiving([500, 200]) as receiver:
            row = start(store, notification("a", receiver.url))
            async with delivering(store):
                await soon(lambda: of(store, row)[0].state == "delivered")
        assert len(set(receiver.ids())) == 1
        attempts = store.outbox.attempts(of(store, row)[0].id)
        assert [(one.status, one.delivered, one.detail) for one in attempts] == [
            (500, False, "answered 500"),
            (200, True, ""),
        ]
        assert (attempts[1].at - attempts[0].at).total_seconds() >= 0.5

    run(main())


def test_a_receiver_that_is_down_is_told_when_it_is_back(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def main() -> None:
        row = start(store, notification("a", f"http://127.0.0.1:{port}/told"))
        async with delivering(store):
            await soon(lambda: of(store, row)[0].attempts > 0)
            with receiving(port=port) as receiver:
                await soon(lambda: receiver.got)
                await soon(lambda: of(store, row)[0].state == "delivered")
        assert store.outbox.attempts(of(store, row)[0].id)[0].detail.startswith("cannot connect")

    run(main())


def test_a_slow_receiver_delays_nobody_else_and_its_attempt_ends_in_time(store: Store) -> None:
    async def main() -> None:
        with receiving([None]) as slow, receiving() as quick:
            row = start(store, notification("slow", slow.url, timeout="300ms"), notification("quick", quick.url))
            async with delivering(store):
                await soon(lambda: quick.got)
                slow_row = of(store, row)[0]
                await soon(lambda: store.outbox.attempts(slow_row.id))
        attempt = store.outbox.attempts(slow_row.id)[0]
        assert (attempt.delivered, attempt.detail) == (False, "no answer within 0.3 s")

    run(main())


def test_a_receiver_that_is_gone_for_good_is_given_up_at_once(store: Store) -> None:
    async def main() -> None:
        with receiving([410]) as receiver:
            row = start(store, notification("a", receiver.url))
            async with delivering(store):
                await soon(lambda: of(store, row)[0].state == "given_up")
        assert len(receiver.got) == 1

    run(main())


def test_what_a_killed_controller_left_is_delivered_by_the_next_with_the_same_id(store: Store, tmp_path: Path) -> None:
    async def main() -> None:
        with receiving([None, 204]) as receiver:
            row = start(store, notification("a", receiver.url))
            async with delivering(store):
                await soon(lambda: receiver.got)  # under way, and never recorded
            assert of(store, row)[0].attempts == 0
            store.close()
            again = Store(tmp_path / "tidegate.db", addressees)
            async with delivering(again):
                await soon(lambda: of(again, row)[0].state == "delivered")
            assert receiver.ids() == [of(again, row)[0].event_id] * 2

    run(main())


def test_a_message_goes_through_apprise_and_says_what_happened(store: Store) -> None:
    async def main() -> None:
        with receiving([500, 200]) as receiver:
            urls = {"TIDEGATE_CHAT": receiver.url.replace("http://", "json://")}
            told = {"name": "chat", "urlFromEnv": "TIDEGATE_CHAT", "when": ["started"], "timeout": "10s"}
            row = start(store, told)
            async with delivering(store, urls):
                await soon(lambda: of(store, row)[0].state == "delivered")
        assert receiver.got[-1].body["title"] == "churn: rollout of revision 1 started"
        assert receiver.got[-1].body["message"].splitlines() == ["begun", "Details: tidegate report 1"]
        attempts = store.outbox.attempts(of(store, row)[0].id)
        assert [one.detail for one in attempts] == ["the service did not take it", ""]

    run(main())


def test_a_message_reaches_a_mailbox_over_smtp_and_one_that_is_refused_is_sent_again(store: Store) -> None:
    async def main() -> None:
        with taking_mail(["451 not now", "250 kept"]) as mailbox:
            url = f"mailto://127.0.0.1:{mailbox.port}/?from=tidegate@example.com&to=team@example.com"
            told = {"name": "team", "urlFromEnv": "TIDEGATE_MAIL", "when": ["started"], "timeout": "10s"}
            row = start(store, told)
            async with delivering(store, {"TIDEGATE_MAIL": url}):
                await soon(lambda: of(store, row)[0].state == "delivered")
        (mail,) = mailbox.got
        assert (mail.sender, mail.receivers) == ("tidegate@example.com", ["team@example.com"])
        assert mail.content["subject"] == "churn: rollout of revision 1 started"
        body = mail.content.get_body()
        assert body is not None
        assert body.get_content().splitlines() == ["begun", "Details: tidegate report 1"]
        attempts = store.outbox.attempts(of(store, row)[0].id)
        assert [(one.delivered, one.detail) for one in attempts] == [(False, "the service did not take it"), (True, "")]

    run(main())


def test_a_secret_is_in_no_log_no_record_and_no_row(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="tidegate")
    key = "s3cr3t"
    urls = {
        "TIDEGATE_A": f"http://user:{key}@127.0.0.1:1/{key}",
        "TIDEGATE_B": f"http://{key}.invalid/{key}",
        "TIDEGATE_C": f"http://127.0.0.1:{key}/",
        "TIDEGATE_D": f"{key}://{key}",
    }
    told = [
        {"name": f"n{at}", "urlFromEnv": name, "when": ["started"], "timeout": "2s"} for at, name in enumerate(urls)
    ]

    async def main() -> None:
        row = start(store, *told)
        async with delivering(store, urls):
            await soon(lambda: all(one.attempts for one in of(store, row)))
        for one in of(store, row):
            assert key not in store.outbox.attempts(one.id)[0].detail
        for one in told:
            assert key not in (await send_test("churn", one, "ada", urls)).detail

    run(main())
    assert "was not told" in caplog.text
    assert key not in caplog.text
    store.close()
    assert all(key.encode() not in file.read_bytes() for file in tmp_path.iterdir())
