"""JSON Schemas (2020-12) of both documents: written by `python -m scripts.generate`, shipped with the package."""
