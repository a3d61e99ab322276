"""Models of elsewhere brought into the model registry: from a folder, and from a registry of MLflow's."""

from tidegate.client.imports.bringing import Brought, bring_in
from tidegate.client.imports.found import FoundVersion

__all__ = ["Brought", "FoundVersion", "bring_in"]
