"""Metrics, alert rules and dashboards: pure functions from service levels and plain records to text.

Everything that names a metric does so through `catalogue`, so rules, panels and the exposition cannot disagree.
"""
