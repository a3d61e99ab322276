"""The rollout engine: records and one pure function from (state, observation, now) to (state, actions).

Nothing here does I/O or knows where replicas run. The controller observes, calls `advance`, stores what changed and
performs the actions, each of which may be performed again after a crash without harm.
"""

from tidegate.rollout.machine import Advance, NotAllowed, ReasonMissing, advance, command, reweigh
from tidegate.rollout.records import (
    NOTHING_TO_CHECK,
    TERMINAL,
    Action,
    Arm,
    ArmSeen,
    Checked,
    ClockSetting,
    Command,
    EnsureReplicas,
    Observation,
    Phase,
    Plan,
    RemoveReplicas,
    Rollout,
    SetSplit,
    SplitCheck,
    Step,
    Transition,
    Until,
    Verdict,
)
from tidegate.rollout.split import check_mirror, check_shares, check_split

__all__ = [
    "NOTHING_TO_CHECK",
    "TERMINAL",
    "Action",
    "Advance",
    "Arm",
    "ArmSeen",
    "Checked",
    "ClockSetting",
    "Command",
    "EnsureReplicas",
    "NotAllowed",
    "Observation",
    "Phase",
    "Plan",
    "ReasonMissing",
    "RemoveReplicas",
    "Rollout",
    "SetSplit",
    "SplitCheck",
    "Step",
    "Transition",
    "Until",
    "Verdict",
    "advance",
    "check_mirror",
    "check_shares",
    "check_split",
    "command",
    "reweigh",
]
