"""Servers that somebody else wrote, started by a command line: settings, working folder, process, and the runtime."""
