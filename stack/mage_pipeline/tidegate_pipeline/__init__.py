"""What the Mage project does, without Mage: ingestion, trainings on an H2O cluster, the registry, the drift sensor.

Mage pins libraries that Tidegate needs newer, so its blocks run this in an interpreter of its own, by
`python -m tidegate_pipeline COMMAND` (`calling`). Modules named by a noun decide and are pure (`backoff`, `paging`,
`trainings`, `limits`); what fetches, stores, trains and registers stands beside them.
"""
