"""Runtimes: one module per model format, and what several of them share.

A framework is imported only in the module named after it, when a model is loaded. What the rest of Tidegate sees is
`runtime.base`; which runtimes exist is `runtime.registry`'s to say.
"""
