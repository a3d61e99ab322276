"""One module per kind of command; `cli.main` puts them together."""
