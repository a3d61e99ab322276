"""How soon and how wrongly rules for taking a canary back decide, on simulated traffic."""
