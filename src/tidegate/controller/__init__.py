"""The controller: the loop that ties store, rollout engine, judge and target together, and the process around it."""
