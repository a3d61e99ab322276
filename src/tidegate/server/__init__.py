"""The inference server: one replica that serves one bundle over HTTP and gRPC, as one process or several.

`protocols` turn bytes into columns and back, `dataplane` runs the model on them, `endpoint` carries them over HTTP.
`process` starts it all, and ends it without dropping a request; `supervisor` does so for several processes.
"""
