"""Is everything there that a rollout needs to end well, either way? Pure: each check is given what was measured.

A check that fails refuses the rollout; a warning goes with the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.contract.errors import NotReady
from tidegate.contract.findings import Finding, Level

#: What a replica's process holds before it has a model: Python and the server, without a framework.
SERVER_BYTES = 64 * 1024**2
#: Beyond this share of the free memory other processes may be short of it.
MEMORY_WARN_SHARE = 0.8
#: As `tidegate doctor` has them: below the first a bundle may not fit, below the second the store is in danger.
DISK_WARN_BYTES, DISK_FAIL_BYTES = 2 * 1024**3, 200 * 1024**2
#: The gateway and each replica hold one open file per connection; below the second they cannot even start.
FILES_WARN, FILES_FAIL = 4096, 256
#: Vulnerabilities that a sentence lists.
_MOST_TOLD = 5


def memory(model_bytes: int, replicas: int, workers: int, free_bytes: int, arms: int = 1) -> Finding:
    """Compare what the candidate's replicas may take with what is free; stable's have theirs already.

    Args:
        model_bytes: peak that loading and one inference added to the process that checked the model; of several arms,
            all together.
        arms: models that are tried together, each with so many replicas.
    """
    needed = replicas * workers * (model_bytes + arms * SERVER_BYTES)
    each = f"{replicas} replicas" if workers == 1 else f"{replicas} replicas of {workers} workers"
    each += f" for each of {arms} arms" if arms > 1 else ""
    told = f"{each} may take {_size(needed)}, {_size(free_bytes)} are free"
    fix = "fewer replicas (--replicas) or workers (--workers), or end what else takes memory"
    if needed > free_bytes:
        return Finding("memory", Level.FAIL, told, fix)
    if needed > MEMORY_WARN_SHARE * free_bytes:
        return Finding("memory", Level.WARN, told, fix)
    return Finding("memory", Level.PASS, told)


def throughput(answered: float | None, asked: float, replicas: int, utilisation: float) -> Finding:
    """Compare the requests per second that the candidate's replicas answer with those that it is to be ready for.

    Never fails: what they answer is an estimate, from one row.

    Args:
        answered: None where it is not known.
        utilisation: share of its time that a core may be busy for it.
    """
    if answered is None:
        return Finding("throughput", Level.PASS, "not estimated: how long a request takes could not be measured")
    told = (
        f"{replicas} replicas answer about {per_second(answered)} at {100 * utilisation:.0f} % use, as one row was "
        f"answered; the request asks for {per_second(asked)}"
    )
    if answered < asked:
        fix = "more replicas (--replicas) where there are cores for them, or a lower throughput (--throughput)"
        return Finding("throughput", Level.WARN, told, fix)
    return Finding("throughput", Level.PASS, told)


def per_second(rate: float) -> str:
    """Return a rate of requests as a person reads it."""
    return f"{rate:,.0f} requests/s" if rate >= 10 else f"{rate:.2g} requests/s"


def inotify(left: int | None, needed: int) -> Finding:
    """Judge the inotify instances that the gateway takes for the revisions on trial. It ends where there is none left.

    Args:
        left: that this user may still have; None where the system does not tell.
    """
    if left is None:
        return Finding("inotify", Level.PASS, "the system does not tell how many instances there may be")
    told = f"{max(left, 0)} instances left, the gateway needs {needed} more"
    if left < needed:
        fix = "as root: sysctl fs.inotify.max_user_instances=1024, and a file in /etc/sysctl.d that says so"
        return Finding("inotify", Level.FAIL, told, f"{fix}; or delete deployments that nobody uses (tidegate delete)")
    return Finding("inotify", Level.PASS, told)


def open_files(limit: int | None) -> Finding:
    """Judge the number of files that each process may have open; None: any number."""
    if limit is None:
        return Finding("open files", Level.PASS, "any number")
    told = f"{limit} for each process"
    fix = f"ulimit -n {FILES_WARN}, then tidegate down and tidegate up"
    if limit < FILES_FAIL:
        return Finding("open files", Level.FAIL, told, fix)
    return (
        Finding("open files", Level.WARN, told, fix) if limit < FILES_WARN else Finding("open files", Level.PASS, told)
    )


def disk(free_bytes: int, home: str) -> Finding:
    """Judge what is free where the home lies."""
    told = f"{_size(free_bytes)} free in {home}"
    fix = f"see what takes the space: du -sh {home}/*"
    if free_bytes < DISK_FAIL_BYTES:
        return Finding("disk", Level.FAIL, told, fix)
    return Finding("disk", Level.WARN, told, fix) if free_bytes < DISK_WARN_BYTES else Finding("disk", Level.PASS, told)


def ports(wanted: Sequence[int], held: Mapping[int, str], taken: Mapping[int, str]) -> Finding:
    """Judge the ports on which servers that are started by a command are to listen.

    Args:
        wanted: those that are fixed by the setting `port`, one for each candidate that has one.
        held: by port, which revision of this home has it, whether it listens now or is being started again. Whatever
            the strategy, its replicas run beside the candidate's until the candidate has passed.
        taken: by port, why nobody can listen on it now.
    """
    if not wanted:
        return Finding("ports", Level.PASS, "each replica gets free ones")
    each = dict.fromkeys(wanted)
    strangers = [port for port in each if port in taken and port not in held]
    problems = [
        *(f"port {port} is that of {held[port]}, which runs beside the candidate" for port in each if port in held),
        *(f"port {port} cannot be had: {taken[port]}" for port in strangers),
        *(f"port {port} is asked for by {wanted.count(port)} arms" for port in each if wanted.count(port) > 1),
    ]
    if not problems:
        return Finding("ports", Level.PASS, f"nobody listens on {', '.join(map(str, each))}")
    fix = "leave port out of the settings, so that each replica gets a free one, or name another"
    look = "".join(f"; see who listens: ss -ltnp 'sport = :{port}'" for port in strangers)
    return Finding("ports", Level.FAIL, "; ".join(problems), fix + look)


def gateway(url: str | None, problem: str | None) -> Finding:
    """Judge whether the gateway answers. `url` None: it does not run, and starts with the controller."""
    if url is None:
        return Finding("gateway", Level.PASS, "does not run yet; `deploy` starts it with the controller")
    if problem is None:
        return Finding("gateway", Level.PASS, f"{url} answers")
    return Finding("gateway", Level.FAIL, problem, "the controller starts it again by itself; see: tidegate doctor")


def metrics(problem: str | None, stable: int | None, counted: Sequence[int] | None) -> Finding:
    """Judge whether the counters that the judge lives on can be read.

    Args:
        problem: why they cannot, or None.
        stable: number of the stable revision, None when there is none.
        counted: the revisions that have counters; None while the gateway does not run.
    """
    if problem is not None:
        return Finding("metrics", Level.FAIL, f"the gateway's counters cannot be read: {problem}")
    if stable is None or counted is None:
        return Finding("metrics", Level.PASS, "nothing is compared yet")
    if stable not in counted:
        return Finding("metrics", Level.WARN, f"the gateway counts nothing for revision {stable} yet")
    return Finding("metrics", Level.PASS, f"the requests of revision {stable} are counted")


def way_back(stable: int | None, *, has_bundle: bool, ready: int | None) -> Finding:
    """Judge whether there is a revision to go back to.

    Args:
        ready: how many of its replicas take requests; None when nobody looked.
    """
    if stable is None:
        return Finding("way back", Level.PASS, "the first revision: nobody is served yet")
    if not has_bundle:
        return Finding(
            "way back",
            Level.FAIL,
            f"the bundle of revision {stable} is gone; its replicas could not be replaced",
            "restore it, or delete the deployment and deploy anew; `tidegate history` has its digest",
        )
    if ready == 0:
        return Finding("way back", Level.WARN, f"no replica of revision {stable} takes requests now")
    return Finding("way back", Level.PASS, f"revision {stable}")


def other_rollout(name: str, *, is_active: bool) -> Finding:
    if is_active:
        return Finding(
            "other rollout", Level.FAIL, f"a rollout of {name!r} is under way", f"tidegate watch {name}, or abort it"
        )
    return Finding("other rollout", Level.PASS, "none is under way")


def freeze(holding: Sequence[str], *, is_overridden: bool) -> Finding:
    """Judge freezes; `holding` has a sentence for each that holds."""
    if not holding:
        return Finding("freeze", Level.PASS, "none holds")
    told = "; ".join(holding)
    if is_overridden:
        return Finding("freeze", Level.WARN, f"overridden: {told}")
    return Finding("freeze", Level.FAIL, told, 'wait, or say --override-freeze "why"')


def vulnerabilities(found: Sequence[str], packages: int, *, refuses: bool) -> Finding:
    """Judge the known vulnerabilities of the environment; `found` has a sentence for each."""
    if not found:
        return Finding("vulnerabilities", Level.PASS, f"none is known of {packages} packages")
    more = len(found) - _MOST_TOLD
    told = "; ".join(found[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
    fix = "install mended versions, or put what does no harm here into gates.vulnerabilities.ignore"
    return Finding("vulnerabilities", Level.FAIL if refuses else Level.WARN, told, fix)


def refuse_unready(name: str, findings: Sequence[Finding]) -> None:
    """Raise NotReady, which names each check that failed."""
    failed = [finding for finding in findings if finding.level is Level.FAIL]
    if failed:
        fixes = [f"{finding.check}: {finding.fix}" for finding in failed if finding.fix]
        raise NotReady(
            "\n".join([f"a rollout of {name!r} cannot begin:", *(f"  {finding}" for finding in failed)]),
            subject=name,
            hint="\n".join(fixes) or None,
        )


def warnings(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(str(finding) for finding in findings if finding.level is Level.WARN)


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"
