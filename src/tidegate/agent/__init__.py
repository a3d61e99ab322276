"""The agent: who alone may speak to the container engine, and starts nothing but replicas of this project.

Whoever may write to the engine's socket is root on the machine. So the controller may not; it asks the agent, over a
socket of the agent's own, and the agent does five things: start a replica, list them, ask one to end, remove one that
ended, show its log. What a replica's container is, the agent decides (`specification`); who asks only fills in what
tells one replica from another.
"""
