"""Fuzzing of the reader of MOJO files: mutants of real models, guided by the code that they reach.

    python -m tests.runtime.mojo.fuzz --seconds 600

What may happen to a file: it scores, or it is refused with one of the reader's own errors, within seconds and within
the memory that its size justifies. All else is a finding, kept as a file with the place of the error in its name.
"""
