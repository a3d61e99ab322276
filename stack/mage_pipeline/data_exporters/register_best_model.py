"""Registers the best model of each segment of a run in Tidegate's registry, as MOJO."""

from mage_pipeline.tidegate_pipeline.calling import call

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter


@data_exporter
def register(board, *args, **kwargs):
    return call("register", board["run"])
