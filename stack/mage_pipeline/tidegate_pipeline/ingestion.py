"""Ingestion: the records of a source into the feature store, each once, however often they come and whatever ends it.

Pages are written in their order, some at a time, and the cursor is stored after each such write. What is killed in
between writes those pages again, which changes no vector: a vector is known by its entity and its time. What cannot be
taken, a record or a page, is a dead letter; pages among them are asked for again at the beginning of the next run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.features import FeatureStore
from tidegate.features.schemas import check_of
from tidegate.features.vectors import Check, Columns, Raw, Refused, sorted_out
from tidegate_pipeline.fetching import Counted, Fetcher, LostPageError
from tidegate_pipeline.paging import Page, Position, ahead, first_of, following, position_of
from tidegate_pipeline.source import Source, Stream
from tidegate_pipeline.state import Cursor, DeadLetter, PipelineState

#: The same page so often in a row: the source goes round.
_MOST_ALIKE = 10


@dataclass
class Ingested:
    """What a run did; grows.

    Attributes:
        pages, records: read, those that came again included.
        written: vectors that are new.
        unchanged: records that are on record already, or that a later one corrects.
        dead_records, dead_pages: dead letters of this run.
        recovered: pages that were dead letters of an earlier run, and were read now.
    """

    pages: int = 0
    records: int = 0
    written: int = 0
    unchanged: int = 0
    dead_records: int = 0
    dead_pages: int = 0
    recovered: int = 0
    http: Counted = field(default_factory=Counted)

    def as_document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Gathered:
    """Pages that were read and are not written yet, and where it goes on after them."""

    goes_on_at: Position
    pages: list[tuple[Position, Page]] = field(default_factory=list)
    lost: list[tuple[Position, str]] = field(default_factory=list)


class Ingestion:
    """One run over a source.

    Args:
        progress: called with a sentence now and then.
    """

    def __init__(
        self,
        source: Source,
        store: FeatureStore,
        state: PipelineState,
        fetcher: Fetcher,
        *,
        progress: Callable[[str], None] = lambda _said: None,
    ) -> None:
        view = store.view(source.view)
        self._source = source
        self._store = store
        self._state = state
        self._fetcher = fetcher
        self._progress = progress
        self._columns = Columns(source.entity_column or view.entity, source.time_column)
        self._check: Check | None = None if view.schema is None else check_of(view.schema)
        # Loads of one view come one after another anyway; so no thread waits for another.
        self._writing = asyncio.Lock()
        self.done = Ingested(http=fetcher.counted)

    async def run(self) -> Ingested:
        """Read all streams from where they were left to their ends.

        Raises:
            InvalidInput: the source cannot be read as it is described; what was read before is kept.
            Unavailable: it does not answer, or the store does not; what was read before is kept.
        """
        # One stream that ends early takes no other with it.
        streams = (self._stream(stream) for stream in self._source.streams)
        ended = await asyncio.gather(*streams, return_exceptions=True)
        wrong = [error for error in ended if error is not None]
        if wrong:
            raise next((error for error in wrong if not isinstance(error, TidegateError)), wrong[0])
        return self.done

    async def _stream(self, stream: Stream) -> None:
        await self._recover(stream)
        kept = self._state.cursor(self._source.name, stream.name)
        position = first_of(self._source) if kept is None else position_of(kept.position)
        gathered = _Gathered(position)
        try:
            async with aclosing(self._in_order(stream, position)) as pages:
                async for at, found in pages:
                    if not isinstance(found, Page):
                        gathered.lost.append((at, found))
                        self._progress(f"{stream.name}: {at}: {found}")
                        self._require_hope(stream, gathered)
                        continue
                    gathered.pages.append((at, found))
                    after = following(self._source, at, found)
                    # Where it ends the same page is read again by the next run: it may have grown.
                    gathered.goes_on_at = after if after is not None else self._last(at, found)
                    if after is None or len(gathered.pages) >= self._source.pages_per_load:
                        await self._write(stream, gathered, is_done=after is None)
                        gathered = _Gathered(gathered.goes_on_at)
        except TidegateError:
            # What was read is kept, and what was lost after it is asked for again by the next run.
            if gathered.pages:
                lost = _after_the_last(gathered)
                gathered.lost = [one for one in gathered.lost if one not in lost]
                await self._write(stream, gathered, is_done=False)
            raise

    def _last(self, at: Position, page: Page) -> Position:
        """Return the last position that holds records: an empty page is none to go on at."""
        is_numbered = at.page is not None and not page.records
        first = first_of(self._source).page or 0
        return Position(page=max(first, (at.page or 0) - 1)) if is_numbered else at

    def _require_hope(self, stream: Stream, gathered: _Gathered) -> None:
        """End the run where too much is lost to go on: the next one begins with the first page of that."""
        trailing = _after_the_last(gathered)
        at, reason = trailing[0]
        if len(trailing) <= self._source.most_lost and ahead(self._source, at) is not None:
            return
        raise Unavailable(
            f"the source {self._source.name!r} does not give {at} of {stream.name}: {reason}",
            subject=self._source.name,
            expected=f"at most {self._source.most_lost} pages in a row that are not to be had (mostLost)",
            got=f"{len(trailing)}",
            hint="what was read before is kept: run it again, and it goes on there",
        )

    async def _in_order(self, stream: Stream, position: Position) -> AsyncGenerator[tuple[Position, Page | str], None]:
        """Yield pages in their order, or why one was lost; some are asked for ahead, where their places are known."""
        waiting: deque[tuple[Position, asyncio.Task[Page]]] = deque()
        upcoming: Position | None = position
        seen: set[str] = set()
        alike, last = 0, ""
        try:
            for count in range(self._source.most_pages):
                while upcoming is not None and len(waiting) < self._source.concurrency:
                    waiting.append((upcoming, asyncio.create_task(self._fetcher.page(stream, upcoming))))
                    upcoming = ahead(self._source, upcoming)
                if not waiting:
                    return
                at, task = waiting.popleft()
                try:
                    page = await task
                except LostPageError as lost:
                    yield at, str(lost)
                    continue
                alike = alike + 1 if page.digest == last and page.records else 0
                last = page.digest
                after = following(self._source, at, page)
                is_round = after is not None and after.page is None and str(after) in seen
                if alike >= _MOST_ALIKE or is_round:
                    raise InvalidInput(
                        f"the source {self._source.name!r} goes round: {at} of {stream.name} came before",
                        subject=self._source.name,
                        hint="see that paging says how this source is paged",
                    )
                seen.add(str(after))
                yield at, page
                if after is None:
                    return
                if ahead(self._source, at) is None:
                    upcoming = after
                if count and count % 100 == 0:
                    self._progress(f"{stream.name}: {count:,} pages")
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        raise InvalidInput(
            f"the source {self._source.name!r} has more than {self._source.most_pages:,} pages in {stream.name}",
            subject=self._source.name,
            hint="what was read is kept: run it again, or set mostPages",
        )

    async def _recover(self, stream: Stream) -> None:
        """Ask once more for pages that earlier runs gave up."""
        for letter, document in self._state.lost_pages(self._source.name, stream.name):
            at = position_of(document)
            try:
                page = await self._fetcher.page(stream, at)
            except LostPageError as lost:
                self._state.bury(self._source.name, [_lost(stream, at, str(lost))])
                continue
            async with self._writing:
                dead = await asyncio.to_thread(self._load, stream, [(at, page)])
                self._state.bury(self._source.name, dead)
                self._state.resolve(letter)
            self.done.recovered += 1

    async def _write(self, stream: Stream, gathered: _Gathered, *, is_done: bool) -> None:
        async with self._writing:
            await asyncio.to_thread(self._written, stream, gathered, is_done)

    def _written(self, stream: Stream, gathered: _Gathered, is_done: bool) -> None:
        dead = self._load(stream, gathered.pages)
        dead += [_lost(stream, at, reason) for at, reason in gathered.lost]
        self.done.dead_pages += len(gathered.lost)
        kept = self._state.cursor(self._source.name, stream.name)
        read = sum(len(page.records) for _, page in gathered.pages)
        cursor = Cursor(
            position=gathered.goes_on_at.as_document(),
            is_done=is_done,
            pages=(kept.pages if kept else 0) + len(gathered.pages),
            records=(kept.records if kept else 0) + read,
        )
        # After the load: a crash between the two has these pages come again, and none be missed.
        self._state.advance(self._source.name, stream.name, cursor, dead)

    def _load(self, stream: Stream, pages: Sequence[tuple[Position, Page]]) -> list[DeadLetter]:
        """Write the records of pages; return those that are no vectors."""
        now, dead, good = datetime.now(UTC), [], []
        for at, page in pages:
            for number, record in enumerate(page.records, 1):
                values = record if isinstance(record, dict) else None
                raw = Raw(number, values, None if values is not None else _text(record), "is not an object")
                one = sorted_out(raw, self._columns, self._check, now)
                if isinstance(one, Refused):
                    dead.append(DeadLetter(stream.name, "record", at.as_document(), _text(record), one.reason))
                else:
                    good.append(values)
            self.done.records += len(page.records)
        self.done.pages += len(pages)
        self.done.dead_records += len(dead)
        if good:
            loaded = self._store.load(
                self._source.view, good, entity_column=self._columns.entity, time_column=self._columns.time
            )
            self.done.written += loaded.written
            self.done.unchanged += loaded.unchanged
        return dead


def _after_the_last(gathered: _Gathered) -> list[tuple[Position, str]]:
    """Return the pages that were lost since the last one that was read."""
    read = gathered.pages[-1][0].page if gathered.pages else None
    return [one for one in gathered.lost if read is None or one[0].page is None or one[0].page > read]


def _lost(stream: Stream, at: Position, reason: str) -> DeadLetter:
    return DeadLetter(stream.name, "page", at.as_document(), "", reason)


def _text(record: Any) -> str:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()
