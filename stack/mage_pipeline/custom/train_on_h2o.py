"""Trains one model of a run on the H2O cluster. One that fails is told, and the others go on."""

from mage_pipeline.tidegate_pipeline.calling import PipelineError, call

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def train(item, *args, **kwargs):
    try:
        row = call("train", item["run"], item["name"], timeout_seconds=item["timeoutSeconds"])
    except PipelineError as error:
        # The plan knows of it, so the leaderboard counts it among those that failed.
        print(f"{item['name']}: FAILED: {error}")
        return [{"run": item["run"], "name": item["name"], "state": "failed"}]
    return [{"run": row["run"], "name": row["name"], "state": row["state"]}]
