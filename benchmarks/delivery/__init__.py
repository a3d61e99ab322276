"""What users notice of a rollout, and what they are spared: splits, shadows, switches and faults, measured."""
