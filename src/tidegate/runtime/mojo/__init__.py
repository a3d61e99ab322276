"""Reads and scores H2O MOJO files without a JVM, to the numbers of H2O's own Java scorer (genmodel).

The format is described nowhere but in H2O's code; the rules here were found by experiment with H2O 3.46.0.11.
"""
