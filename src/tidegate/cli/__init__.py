"""The command line: thin, and over HTTP like every other way in."""
