"""Deploys the models that are better than what serves as canaries, and waits for the ends of their rollouts.

A block that is run again finds the rollouts that it began.
"""

from mage_pipeline.tidegate_pipeline.calling import call

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter


@data_exporter
def deploy(compared, *args, **kwargs):
    return call("deploy", compared["run"])
