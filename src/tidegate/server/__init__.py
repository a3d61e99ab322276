"""The inference server: one process that serves one bundle over HTTP.

`protocols` turn bytes into columns and back, `dataplane` runs the model on them, `endpoint` carries them over HTTP.
`process` starts it all, and ends it without dropping a request.
"""
