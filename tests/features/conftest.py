"""Each test of the feature store runs on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from tests.store.conftest import address, server
from tidegate.features import FeatureStore
from tidegate.store.address import Address

__all__ = ["address", "server"]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(address: Address, clock: Clock) -> Iterator[FeatureStore]:
    with FeatureStore(address, clock) as made:
        yield made


@pytest.fixture
def customers(store: FeatureStore) -> FeatureStore:
    """A store with the view `customers`."""
    store.create("customers", "customer")
    return store
