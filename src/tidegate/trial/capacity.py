"""How many requests replicas answer, and how many replicas a rate of requests needs. An estimate, and pure.

By the utilisation law (P. J. Denning and J. P. Buzen, "The Operational Analysis of Queueing Network Models", ACM
Computing Surveys 10(3), 1978) the share U of its time that a resource is busy is X · S: requests answered per second,
times the seconds of the resource that one of them takes. Of m equal resources it is X · S / m. So m cores that may be
busy for the share U of their time answer X = U · m / S requests per second.

S is the processor time of one prediction for one row, as it was measured when the model was checked, and what the
replica takes for a request beside it. Requests with more rows take longer; those that are answered together, less.
"""

from __future__ import annotations

from math import ceil

#: The share of its cores' time that a revision may use. A request that comes at random then takes 1 / (1 - U) = 3.3
#: times its own time on average where one core answers (M/M/1), and less where several do.
UTILISATION = 0.7
#: What a replica, and the gateway before it, take for a request with one row beside the model; rounded up.
SERVER_SECONDS = GATEWAY_SECONDS = 1e-4
#: By which a number of replicas may be above a whole one only because of how it was computed.
_ROUNDING = 1e-9


def replica_rate(cpu_seconds: float | None, lanes: int) -> float | None:
    """Return the requests per second that one replica answers; None where that is not known.

    Args:
        cpu_seconds: processor time of one prediction for one row; None where it was not measured.
        lanes: requests that it answers side by side, each on a core: workers times threads. Threads count in full, as
            they do for a model that computes in native code.
    """
    return None if cpu_seconds is None else UTILISATION * lanes / (cpu_seconds + SERVER_SECONDS)


def revision_rate(cpu_seconds: float | None, lanes: int, replicas: int, cores: float) -> float | None:
    """Return the requests per second that so many replicas answer on one machine; None where that is not known.

    Args:
        cpu_seconds, lanes: as of `replica_rate`.
        cores: of the machine, which the replicas share with the gateway.
    """
    each = replica_rate(cpu_seconds, lanes)
    if cpu_seconds is None or each is None:
        return None
    return min(replicas * each, UTILISATION * cores / (cpu_seconds + SERVER_SECONDS + GATEWAY_SECONDS))


def replicas_needed(requests_per_second: float, cpu_seconds: float | None, lanes: int) -> float | None:
    """Return how many replicas, with a fraction, answer so many requests; None where that is not known.

    Args:
        cpu_seconds, lanes: as of `replica_rate`.
    """
    each = replica_rate(cpu_seconds, lanes)
    return None if each is None else requests_per_second / each


def whole(needed: float) -> int:
    """Return a number of replicas with a fraction as one that can be had, at least 1."""
    return max(1, ceil(needed - _ROUNDING))
