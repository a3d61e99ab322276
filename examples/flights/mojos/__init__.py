"""Three MOJOs of late arrivals, the script that has H2O train them, and what the demo knows of them."""
