"""The documents that go in and come out, the quantities written in them, and the errors that users meet.

Imports nothing else of ours and does no I/O. Import from the modules themselves (`tidegate.contract.request`, …):
a replica that needs only `contract.errors` then loads no more than that.
"""
