"""Where the store is: a SQLite file, or a PostgreSQL database by its URL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tidegate.contract.errors import InvalidInput

#: The variable that names the store; it may hold a password, which an argument of a command may not.
VARIABLE = "TIDEGATE_STORE"

Address = Path | URL

_EXPECTED = "postgresql://USER@HOST:PORT/DATABASE, or the path of a SQLite file"


def parse_address(text: str, subject: str = "--store") -> Address:
    """Return where the store is.

    Args:
        text: a URL, or the path of a file.
        subject: where the text is from, for errors.

    Raises:
        InvalidInput: it is a URL of something else, or of no database.
    """
    if "://" not in text:
        return Path(text).expanduser().absolute()
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput("the store's URL cannot be read", subject=subject, expected=_EXPECTED) from error
    kind = url.get_backend_name()
    if kind in {"postgresql", "postgres"} and url.database:
        return url.set(drivername="postgresql")
    raise InvalidInput(
        "the store's URL is of no database that Tidegate can use",
        subject=subject,
        expected=_EXPECTED,
        got=url.render_as_string(hide_password=True),
    )


def whole_form(address: Address) -> str:
    """Return what `parse_address` reads again, with the password where there is one: for nobody else to see."""
    return str(address) if isinstance(address, Path) else address.render_as_string(hide_password=False)


def address_of_argument(text: str) -> Address:
    """Return where an argument of a command says that the store is; others on the machine can read arguments.

    Raises:
        InvalidInput: as `parse_address`, or there is a password in it.
    """
    address = parse_address(text)
    if isinstance(address, URL) and address.password:
        raise InvalidInput(
            "a password in an argument can be read by everybody on this machine",
            subject="--store",
            expected="a URL without a password",
            got=address.render_as_string(hide_password=True),
            hint=f"set {VARIABLE} to the whole URL instead, or name a file with the password in PGPASSFILE",
        )
    return address


def whole(address: Address) -> str:
    """Return the address, its password included, as `parse_address` reads it and libpq does, too."""
    if isinstance(address, Path):
        return str(address)
    # SQLAlchemy leaves spaces before the @ as they are, and writes a plus for those behind the question mark. In the
    # one place libpq refuses them, in the other it takes a plus for a plus.
    place, mark, query = address.render_as_string(hide_password=False).partition("?")
    return place.replace(" ", "%20") + mark + query.replace("+", "%20")


def shown(address: Address) -> str:
    """Return the address for people: without a password."""
    return address.render_as_string(hide_password=True) if isinstance(address, URL) else str(address)
