"""Reads an HTTP API into the feature store: `source` is the document of a source."""

from mage_pipeline.tidegate_pipeline.calling import call

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader


@data_loader
def ingest(*args, **kwargs):
    return call("ingest", kwargs["source"], *(["--restart"] if kwargs.get("restart") else []))
