"""`tidegate scan` by the name of its file: `python stack/scan_dockerfile.py stack`."""

import sys

from tidegate.cli.main import app

if __name__ == "__main__":
    app(["scan", *sys.argv[1:]], prog_name="tidegate")
