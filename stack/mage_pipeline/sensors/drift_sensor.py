"""Whether to retrain: by the drift of what a deployment is asked and answers, as Tidegate's controller found it.

Mage asks again every minute until it is true.
"""

from mage_pipeline.tidegate_pipeline.calling import call

if "sensor" not in globals():
    from mage_ai.data_preparation.decorators import sensor


@sensor
def has_drifted(*args, **kwargs) -> bool:
    said = call(
        "sense",
        kwargs["deployment"],
        "--model",
        kwargs.get("model") or kwargs["deployment"],
        *("--at-least", kwargs.get("at_least", "moderate")),
        *("--min-requests", kwargs.get("min_requests", 1000)),
        *("--by", kwargs.get("by", "")),
        *("--cool-down-hours", kwargs.get("cool_down_hours", 6)),
        *("--most-a-day", kwargs.get("most_a_day", 4)),
        *("--after-setback-hours", kwargs.get("after_setback_hours", 24)),
        *("--max-age-hours", kwargs.get("max_age_hours", 24)),
    )
    print(f"{'due' if said['due'] else 'not due'}: {said['why']}")
    return said["due"]
