"""The feature store: vectors of entities under named views, looked up by key and joined to labels at their time."""

from tidegate.features.records import Found, Holdings, Loaded, Quarantined, TrainingSet, View
from tidegate.features.store import FeatureStore

__all__ = ["FeatureStore", "Found", "Holdings", "Loaded", "Quarantined", "TrainingSet", "View"]
