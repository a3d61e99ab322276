"""The proxy that splits traffic: what Tidegate says to it (`base`) and how Envoy does it (`envoy`)."""
