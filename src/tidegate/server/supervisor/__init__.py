"""The process above a replica's workers: `python -m tidegate.server.supervisor`.

It owns the listening socket and answers nobody while a worker serves. It starts the workers, replaces those that die,
and changes the model by changing processes: the new workers load, check and warm it while the old ones serve. So
nothing that a model does as it is loaded can hold up a request, and what the old model held is returned by the end of
its processes.

It stays small: no NumPy, no framework, no HTTP framework is imported here.
"""
