"""`tidegate doctor versions`, as a script: `python stack/version_check.py PATH...`."""

import sys

from tidegate.cli.main import app

app(["doctor", "versions", *sys.argv[1:]], prog_name="tidegate")
