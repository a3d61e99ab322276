"""Compares the models that a run registered with what serves, on fresh rows; what that says is on record."""

from mage_pipeline.tidegate_pipeline.calling import call

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def compare(registered, *args, **kwargs):
    return call("evaluate", registered["run"])
