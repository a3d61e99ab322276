"""Exit with 0 where Mage answers and, of a worker (`scheduler`), where the process that schedules is alive."""

import json
import sys
import urllib.request

URL = "http://127.0.0.1:6789/api/status"

# No proxy stands between a container and itself.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    with opener.open(URL, timeout=5) as answer:
        (status,) = json.load(answer)["statuses"]
except (OSError, ValueError, KeyError) as error:
    sys.exit(f"{URL}: {error}")
if "scheduler" in sys.argv[1:] and status["scheduler_status"] != "running":
    sys.exit(f"the scheduler is {status['scheduler_status']}")
