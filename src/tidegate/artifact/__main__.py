"""`python -m tidegate.artifact`: see `tidegate.artifact.worker`."""

import sys

from tidegate.artifact.worker import main

if __name__ == "__main__":
    sys.exit(main())
