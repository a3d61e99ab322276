"""Tidegate's server against MLServer, BentoML, LitServe, Ray Serve, KServe's server and a plain FastAPI endpoint.

The modules, from the models to the page: `models` trains what is served, `forms` says how each protocol writes the same
rows, `environments` makes each server's own environment, `peers` says how each is started, `processes` starts, pins,
weighs and ends them, `load` sends the requests, `measure` is the plan for one server and model, `rounds` interleaves
them, `goals` compares, `page` writes it down.
"""
