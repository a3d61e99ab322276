"""Models in a registry of MLflow's: a server, a database, or a folder of its files. Needs the extra `mlflow`."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from tidegate.client.imports.found import FoundVersion
from tidegate.contract.errors import InvalidInput, NotFound, TidegateError, Unavailable

#: How long MLflow waits for its server where nobody says otherwise; its own defaults are minutes.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
#: Asked for in one request.
_PAGE = 100
#: Data sets of a run that are taken over.
_MOST_DATA = 100


def found_in(uri: str, models: Collection[str] = ()) -> Iterator[FoundVersion]:
    """Yield the versions of each model, models by name and versions from the first; the files of each lie in a folder
    that is gone when the next one is asked for.

    Args:
        uri: tracking URI, e.g. "sqlite:///mlflow.db" or "http://127.0.0.1:5000"; or a folder of MLflow's files.
        models: those that are wanted; all when there are none.

    Raises:
        InvalidInput: its file or folder is not there.
        Unavailable: MLflow is not installed, or the registry does not answer.
        NotFound: no model is there, or not one that is wanted.
    """
    _refuse_missing(uri)
    client = _client(uri)
    with _asked(uri):
        registered = {model.name: model for model in _pages(client.search_registered_models)}
    if not registered:
        raise NotFound(f"there is no registered model in {shown(uri)}", subject=shown(uri))
    for missing in sorted(set(models) - set(registered)):
        raise NotFound(
            f"there is no model {missing!r} in {shown(uri)}", subject=missing, got=", ".join(sorted(registered)[:10])
        )
    for name in sorted(models or registered):
        with _asked(uri):
            versions = sorted(_versions(client, name), key=lambda version: int(version.version))
            # Lists leave the aliases out.
            aliases = dict(client.get_registered_model(name).aliases)
        for version in versions:
            yield from _found(client, uri, registered[name], aliases, version)


def shown(uri: str) -> str:
    """Return a URI without the name and password that it may hold."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _refuse_missing(uri: str) -> None:
    """Raise InvalidInput for a file or folder that is not there: MLflow would make an empty registry of it."""
    parts = urlsplit(uri)
    if parts.scheme not in ("sqlite", "file"):
        return
    # A path of SQLite's begins behind the third slash, so that it may be a relative one.
    path = Path(unquote(parts.path[1:] if parts.scheme == "sqlite" else parts.path))
    if not path.exists():
        raise InvalidInput(
            f"there is no MLflow registry at {path}",
            subject=uri,
            expected="the tracking URI of MLflow, such as sqlite:///mlflow.db or http://127.0.0.1:5000",
        )


class _asked:  # noqa: N801 -- read as a verb: with _asked(uri)
    """Turns what MLflow raises into one error of ours."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, TidegateError):
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Unavailable(
                f"MLflow's registry {shown(self._uri)} does not answer: {said[:300]}",
                subject=shown(self._uri),
                hint="see that it is the tracking URI with which the models were registered",
            ) from error


def _client(uri: str) -> Any:
    try:
        tracking = importlib.import_module("mlflow.tracking")
    except ImportError as error:
        raise Unavailable(
            "to import from MLflow needs MLflow, which is not installed",
            subject=shown(uri),
            hint="pip install 'tidegate[mlflow]'",
        ) from error
    for variable, usual in _PATIENCE.items():
        os.environ.setdefault(variable, usual)
    with _asked(uri):
        return tracking.MlflowClient(tracking_uri=uri, registry_uri=uri)


def _versions(client: Any, name: str) -> list[Any]:
    quote = '"' if "'" in name else "'"
    if quote in name:
        raise InvalidInput(
            f"the model {name!r} cannot be looked up in MLflow, since its name has both kinds of quotes", subject=name
        )
    return [
        version
        for version in _pages(client.search_model_versions, filter_string=f"name={quote}{name}{quote}")
        if version.name == name
    ]


def _pages(search: Any, **wanted: Any) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = search(max_results=_PAGE, page_token=token, **wanted)
        yield from page
        token = page.token
        if not token:
            return


def _found(client: Any, uri: str, model: Any, aliases: dict[str, Any], version: Any) -> Iterator[FoundVersion]:
    """Yield one version, whose files are there until the next is asked for."""
    source = f"mlflow models:/{version.name}/{version.version} of {shown(uri)}"
    run = _run(client, version.run_id)
    stage = str(version.current_stage or "").lower()
    with tempfile.TemporaryDirectory(prefix="tidegate-mlflow-") as folder:
        try:
            with _asked(uri):
                artifact = _downloaded(client, uri, version, Path(folder))
        except TidegateError as refused:
            yield FoundVersion(version.name, str(version.version), source, refusal=refused)
            return
        yield FoundVersion(
            model=version.name,
            number=str(version.version),
            source=source,
            artifact=artifact,
            metrics={**_metrics(run), **_own_metrics(version)},
            lineage=_lineage(run),
            description=version.description or "",
            aliases=tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))),
            stage=stage if stage in ("staging", "production", "archived") else None,
            about=model.description or None,
        )


def _downloaded(client: Any, uri: str, version: Any, folder: Path) -> Path:
    where = client.get_model_version_download_uri(version.name, version.version)
    artifacts = importlib.import_module("mlflow.artifacts")
    return Path(artifacts.download_artifacts(artifact_uri=where, dst_path=str(folder), tracking_uri=uri))


def _run(client: Any, run_id: str | None) -> Any:
    """Return the run that made a version; None where there is none, or it was deleted."""
    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except Exception:  # noqa: BLE001 -- MLflow's stores raise what they like; a version goes without its run
        return None


def _metrics(run: Any) -> dict[str, Any]:
    return {} if run is None else dict(run.data.metrics)


def _own_metrics(version: Any) -> dict[str, Any]:
    """Return the metrics that were logged for the model itself, which MLflow 3 can."""
    return {metric.key: metric.value for metric in getattr(version, "metrics", None) or ()}


def _lineage(run: Any) -> dict[str, Any]:
    if run is None:
        return {}
    tags = run.data.tags
    found: dict[str, Any] = {"run": run.info.run_id}
    commit, file = tags.get("mlflow.source.git.commit"), tags.get("mlflow.source.name")
    code = f"{file} at commit {commit}" if commit and file else commit or file
    if code:
        found["code"] = code[:2000]
    inputs = getattr(run.inputs, "dataset_inputs", None) or ()
    names = dict.fromkeys(f"{one.dataset.name} (mlflow digest {one.dataset.digest})"[:2000] for one in inputs)
    if names:
        found["data"] = [{"uri": name} for name in list(names)[:_MOST_DATA]]
    return found
