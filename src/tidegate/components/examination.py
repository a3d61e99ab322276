"""One look at all places that were named, and at this environment, as rows of the matrix."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.components.cluster import found_in_cluster
from tidegate.components.here import PLACE, found_here, supported_python
from tidegate.components.matrix import matrix
from tidegate.components.models import reader_row
from tidegate.components.records import Row
from tidegate.components.tree import read_paths


def examine(paths: Sequence[str], clusters: Sequence[str] = ()) -> list[Row]:
    """Return the matrix: for each component at each place what is there, what is wanted, and why it does not fit.

    Args:
        paths: files and folders.
        clusters: addresses of running clusters of H2O.

    Raises:
        InvalidInput: a path or an address is wrong, or a file cannot be read.
        Unavailable: a cluster does not answer; of it nothing can be said, so nothing is said at all.
    """
    found, models = read_paths(list(paths))
    running = [one for url in clusters for one in found_in_cluster(url)]
    rows = matrix([*found_here(), *running, *found], supported_python())
    return [reader_row(PLACE), *rows, *models]
