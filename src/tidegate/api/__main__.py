"""`python -m tidegate.api --home DIR`: the controller in the foreground; `tidegate up` starts it so."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import json
import logging
import os
import sys
from pathlib import Path

from tidegate.api.process import Setup, configure_logging, serve
from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.controller.home import Home, no_room
from tidegate.controller.stage import Stage
from tidegate.gateway.base import DEFAULT_ENVOYS, LOOPBACK
from tidegate.scheduling import let_others_first
from tidegate.store.place import place_of

#: Exit codes that `launch` turns back into errors; the error itself is the last line on stderr, as JSON.
EXIT_INVALID_INPUT = 2
EXIT_UNAVAILABLE = 6

_GC_THRESHOLD = (50_000, 20, 100)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tidegate.api", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--gateway-host", default=LOOPBACK)
    parser.add_argument("--gateway-port", type=int, default=8080)
    parser.add_argument("--envoys", type=int, default=DEFAULT_ENVOYS)
    parser.add_argument("--stage", type=Path, help="folder of the rehearsal that this controller is for")
    parser.add_argument("--store", help="a SQLite file, or the URL of a PostgreSQL database; see tidegate up --help")
    parser.add_argument("--standby", action="store_true", help="wait until no other controller leads")
    arguments = parser.parse_args()
    # What controller, gateway and replicas write is for their user alone, also in a folder that others may read.
    os.umask(0o077)
    let_others_first()
    # What is loaded stays; the default looks for circles several times a second, in all of it now and then.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)
    home = Home(arguments.home)
    try:
        home.create()
        configure_logging(home.controller_log)
        stage = Stage(arguments.stage) if arguments.stage is not None else None
        # A rehearsal is nobody else's: its store is its own.
        store = place_of(home.root, arguments.store) if stage is None else home.database
        setup = Setup(
            arguments.port,
            arguments.gateway_port,
            arguments.envoys,
            store,
            stands_by=arguments.standby,
            stage=stage,
            host=arguments.host,
            gateway_host=arguments.gateway_host,
        )
        asyncio.run(serve(home, setup))
    except TidegateError as error:
        sys.stderr.write(json.dumps({"error": error.as_dict()}) + "\n")
        return EXIT_INVALID_INPUT if isinstance(error, InvalidInput) else EXIT_UNAVAILABLE
    except OSError as error:
        logging.getLogger(__name__).exception("the controller cannot run")
        told = Unavailable(f"the home cannot be used: {error}", subject=str(home.root), hint="See: tidegate doctor")
        if error.errno == errno.ENOSPC:
            told = no_room(home.root)
        sys.stderr.write(json.dumps({"error": told.as_dict()}) + "\n")
        return EXIT_UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
