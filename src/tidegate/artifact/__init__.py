"""Artifacts: from a file that somebody trained to an immutable bundle that a replica can serve.

`inspect` says what a file is, `check` loads and tries it, `bundle` writes and reads the result, and `build` does the
three in a process of its own, so that a hostile or broken model takes nobody else down.
"""
