"""The gate: what is asked of a candidate, and of its surroundings, before any user meets it.

Whether its signature takes what stable takes, whether it answers golden requests as it should, whether the machine and
the deployment are ready for a rollout. Decisions are pure functions; what asks a replica or the machine is beside them.
"""
