"""Ranks the models of a run, and says which trainings failed and how the cluster is; fails where too many did."""

from mage_pipeline.tidegate_pipeline.calling import call

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def rank(trained, *args, **kwargs):
    return call("board", trained[0]["run"])
