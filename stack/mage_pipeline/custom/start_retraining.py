"""Starts the pipeline `retraining`, once the sensor has found drift and where the limits allow it."""

from mage_ai.orchestration.triggers.api import trigger_pipeline

from mage_pipeline.tidegate_pipeline.calling import call

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def start(*args, **kwargs):
    model = kwargs.get("model") or kwargs["deployment"]
    claimed = call(
        "claim",
        model,
        *("--why", f"drift of {kwargs['deployment']}"),
        *("--cool-down-hours", kwargs.get("cool_down_hours", 6)),
        *("--most-a-day", kwargs.get("most_a_day", 4)),
        *("--after-setback-hours", kwargs.get("after_setback_hours", 24)),
    )
    if claimed["run"] is None:
        print(f"nothing is started: {claimed['why']}")
        return claimed
    try:
        trigger_pipeline("retraining", variables={"setup": kwargs["setup"], "run": claimed["run"]})
    except Exception:
        call("release", claimed["run"])
        raise
    return claimed
