"""What one replica is at a moment: the bundle, the model once it serves, and the phase of its life."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from enum import StrEnum

import orjson

from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import TidegateError
from tidegate.runtime.base import Columns, CountsUnseen, Model
from tidegate.scheduling import stand_back
from tidegate.server.batching import BatchPolicy, rows_are_independent
from tidegate.server.cache.build import build_cache
from tidegate.server.dataplane import DataPlane
from tidegate.server.exchange import Exchange
from tidegate.server.features.completer import Completer
from tidegate.server.metrics import ServerMetrics
from tidegate.server.off_loop import OffLoop
from tidegate.server.protocols.base import Message, ModelFailed, NotReady
from tidegate.server.protocols.oip import OipCodec
from tidegate.server.protocols.predict import PredictCodec
from tidegate.server.recording.columns import ColumnCounts
from tidegate.server.recording.distribution import PredictionDistribution
from tidegate.server.recording.log import PredictionLog
from tidegate.server.recording.notes import AnswerNotes
from tidegate.server.recording.personal import personal_fields, refuse_unknown_fields
from tidegate.server.recording.sinks import open_sink
from tidegate.server.recording.unseen import UnseenLevels
from tidegate.server.recording.watch import Watch
from tidegate.server.settings import ServerSettings
from tidegate.server.siblings import Siblings
from tidegate.server.threads import run_in_daemon_thread
from tidegate.server.tracing import build_tracer
from tidegate.server.wording import one_line

log = logging.getLogger("tidegate.server")


class Phase(StrEnum):
    """loading: no model yet; serving: ready; draining: still serving, asking for no more traffic."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"


class Replica:
    """One bundle being served. Used on the event loop's thread only."""

    def __init__(self, settings: ServerSettings, bundle: Bundle) -> None:
        self.settings = settings
        self.bundle = bundle
        self.phase = Phase.LOADING
        self.metrics = ServerMetrics(
            settings.identity.deployment,
            settings.identity.revision,
            settings.latency_objective_seconds,
            settings.identity.model_version,
        )
        self.metrics.describe_model(
            digest=bundle.manifest.digest,
            runtime=bundle.manifest.runtime,
            format=bundle.manifest.format,
            framework_version=bundle.manifest.framework_version or "",
        )
        self.predict = PredictCodec(bundle.signature, settings.identity, settings.limits)
        self.oip = OipCodec(bundle.signature, settings.identity, settings.limits)
        #: The other workers of the replica, when it has several.
        self.siblings: Siblings | None = None
        self.tracer = build_tracer(settings.identity, settings.replica)
        #: Completes requests that name entities, where the settings ask for it.
        self.completer: Completer | None = None
        self._data_plane: DataPlane | None = None

    @property
    def is_ready(self) -> bool:
        """Whether to send requests here: the model is warm, and every worker of the replica serves."""
        return self.phase is Phase.SERVING and self.lack is None

    @property
    def lack(self) -> str | None:
        """What the replica lacks beyond this process, a sentence; None for nothing."""
        return None if self.siblings is None else self.siblings.lack

    async def warm(self, model: Model) -> None:
        """Put the bundle's sample through the model the way that a request goes, and serve from then on.

        Raises:
            TidegateError: the sample was not answered, so the model cannot serve.
        """
        counting = model if isinstance(model, CountsUnseen) else None
        guarded = OffLoop(model)
        guarded.prove()
        model = guarded
        settings = self.settings
        sample = Message(orjson.dumps({"records": list(self.bundle.sample)}))
        policy = BatchPolicy(settings.latency_objective_seconds, settings.batch_requests, settings.batch_rows)
        independent, reference = await self._try(model, self.predict.decode(sample).inputs)
        if policy.requests > 1 and not independent:
            log.warning("requests are answered one by one: the model answers a row differently in company")
            policy = replace(policy, requests=1)
        self.metrics.batch_limit = policy.requests
        cache = build_cache(settings.cache, self.bundle.manifest.digest)
        if cache is not None:
            self.metrics.add_source(cache.metrics)
        data_plane = DataPlane(
            model,
            policy,
            threads=settings.threads,
            queue_limit=settings.queue_limit,
            queue_bytes=settings.queue_bytes,
            cache=cache,
        )
        await data_plane.answer(self.predict, sample)
        data_plane.watch = self._build_watch(model, reference)  # the sample itself is not counted
        if counting is not None:
            self.metrics.add_source(UnseenLevels(counting, model.signature.inputs).metrics)
        self._data_plane = data_plane
        if self.phase is Phase.LOADING:
            self.phase = Phase.SERVING

    async def _try(self, model: Model, inputs: Columns) -> tuple[bool, Columns]:
        """Return whether rows may be answered together, and the outputs for the sample."""
        worker = self.settings.worker

        def work() -> tuple[bool, Columns]:
            if worker is not None and worker.in_background:
                stand_back()
            return rows_are_independent(model, inputs), model.predict(inputs)

        try:
            return await run_in_daemon_thread(work)
        except TidegateError:
            raise
        except Exception as error:
            raise ModelFailed(f"the model failed on its sample: {one_line(error)}") from error

    def _build_watch(self, model: Model, reference: Columns) -> Watch:
        distribution = PredictionDistribution(model.signature.outputs, reference)
        self.metrics.add_source(distribution.metrics)
        notes = AnswerNotes(self.settings.run_dir, self.settings.identity)
        columns = ColumnCounts(self.settings.run_dir, model.signature)
        settings = self.settings.prediction_log
        if settings is None:
            return Watch(distribution, None, notes, columns)
        personal = personal_fields(settings.dropped, settings.hashed, settings.key_file, os.environ)
        refuse_unknown_fields(personal, model.signature)
        sink = open_sink(settings.sink)
        prediction_log = PredictionLog(sink, self.settings.identity, settings.share, personal=personal)
        self.metrics.add_source(prediction_log.metrics)
        return Watch(distribution, prediction_log, notes, columns)

    @property
    def pending(self) -> int:
        """Requests that wait or are being answered."""
        return 0 if self._data_plane is None else self._data_plane.pool.pending

    @property
    def is_idle(self) -> bool:
        """Whether no thread is in the model; see `WorkerPool.is_idle`."""
        return self._data_plane is None or self._data_plane.pool.is_idle

    def submit(self, exchange: Exchange) -> None:
        """Have one request answered; see `WorkerPool.submit`. Raises NotReady before the model is warm."""
        if self._data_plane is None:
            raise NotReady("the model is still being loaded")
        self._data_plane.pool.submit(exchange)

    def cancel(self, exchange: Exchange) -> None:
        """Let go of an exchange that was submitted; see `WorkerPool.cancel`."""
        if self._data_plane is not None:
            self._data_plane.pool.cancel(exchange)

    def stuck_seconds(self) -> float:
        """Return for how long all inference threads have been at one batch without an end."""
        return 0.0 if self._data_plane is None else self._data_plane.pool.stuck_seconds()

    def close(self) -> None:
        """End the threads after the requests that wait."""
        if self._data_plane is not None:
            self._data_plane.close()
        if self.completer is not None:
            self.completer.close()
        if self.tracer is not None:
            self.tracer.close()
