"""Plans a retraining: one dynamic block for each segment and configuration of the document `setup`."""

from mage_pipeline.tidegate_pipeline.calling import call, options

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def fan_out(*args, **kwargs):
    named = options(kwargs, "run", "new_run", "deployment")
    limits = options(kwargs, "cool_down_hours", "most_a_day", "after_setback_hours")
    made = call("plan", kwargs["setup"], *named, *(["--within-limits", *limits] if kwargs.get("claim") else []))
    print(f"run {made['run']}: {len(made['trainings'])} trainings; too small: {made['tooSmall'] or 'none'}")
    items = [{**one, "run": made["run"], "timeoutSeconds": made["timeoutSeconds"]} for one in made["trainings"]]
    return [items, [{"block_uuid": one["name"]} for one in items]]
