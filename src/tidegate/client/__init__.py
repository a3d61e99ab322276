"""The Python client: what the command line does, from a program.

    from tidegate.client import Client

    with Client.connect() as client:
        request = {"modelArtifact": {"path": "/models/churn.skops"}, "servingRequirements": {}}
        accepted = client.deploy(request)
        rollout = client.wait(accepted["deployment"], accepted["rollout"])

It speaks HTTP to the controller and imports nothing else of Tidegate but the contract.
"""

from tidegate.client.client import Client
from tidegate.client.documents import (
    Accepted,
    Event,
    Freeze,
    History,
    Model,
    ModelVersion,
    Registered,
    Rollout,
    Status,
)
from tidegate.client.follow import Look, follow
from tidegate.client.home import ControllerAddress, home_folder, last_ports, read_address
from tidegate.client.phases import TERMINAL_PHASES, is_terminal, is_waiting_for_person
from tidegate.client.registry import ModelRegistry
from tidegate.client.sensing import Sensed, sense

__all__ = [
    "TERMINAL_PHASES",
    "Accepted",
    "Client",
    "ControllerAddress",
    "Event",
    "Freeze",
    "History",
    "Look",
    "Model",
    "ModelRegistry",
    "ModelVersion",
    "Registered",
    "Rollout",
    "Sensed",
    "Status",
    "follow",
    "home_folder",
    "is_terminal",
    "is_waiting_for_person",
    "last_ports",
    "read_address",
    "sense",
]
