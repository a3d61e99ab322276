"""Examples that run: each folder is a package with a `demo` or a `README.md` of its own."""
