"""Codecs: each turns the bytes of one protocol into the columns that a model takes, and its outputs back into bytes."""
