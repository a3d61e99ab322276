"""Write what the schema gives a PostgreSQL database: `python -m scripts.catalogue`, after a change of the tables."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.postgresql import postgresql
from tidegate.store import catalogue
from tidegate.store.versions import connected

PATH = Path(catalogue.__file__).with_name(catalogue.FILE)


def main() -> None:
    with postgresql() as server:
        database = connected(server.fresh())
        with database.read() as db:
            found = catalogue.facts(db)
        database.close()
    PATH.write_text("".join(f"{fact}\n" for fact in sorted(found)), encoding="utf-8")
    sys.stdout.write(f"wrote {len(found)} facts to {PATH.name}\n")


if __name__ == "__main__":
    main()
