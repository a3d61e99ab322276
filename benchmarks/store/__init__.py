"""The store in PostgreSQL under load: look-ups among millions of vectors, the prediction log, partitions of a year."""
