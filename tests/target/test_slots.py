"""The folder of one replica."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.target.conftest import spec_of
from tidegate.contract.request import parse_request
from tidegate.controller.planning import answering as answering_of
from tidegate.gateway.base import RevisionRef
from tidegate.runtime.mojo import kernel_library
from tidegate.target.base import Answering
from tidegate.target.process import environment, server_command, spec_document
from tidegate.target.slots import Slot, revisions_of, slots_of, tail

REF = RevisionRef("churn", 3)


def test_a_replica_is_alive_from_before_its_process_exists_until_it_is_gone(tmp_path: Path) -> None:
    slot = Slot(tmp_path, REF, 0)
    assert not slot.is_alive()
    held = slot.hold()
    assert held is not None
    assert slot.is_alive()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held,))
    os.close(held)
    assert slot.is_alive()
    assert slot.hold() is None
    child.kill()
    child.communicate()
    assert not slot.is_alive()


def test_the_log_of_a_replica_that_is_gone_can_still_be_read(tmp_path: Path) -> None:
    slot, other = Slot(tmp_path, REF, 0), Slot(tmp_path, REF, 1)
    for prepared in (slot, other):
        held = prepared.hold()
        assert held is not None
        os.close(held)
    slot.log.write_text("first\nlast\n")
    slot.clear()
    assert slot.tail(1) == ["last"]
    assert revisions_of(tmp_path) == [REF]
    assert list(slots_of(tmp_path, REF)) == [1]
    other.clear()
    assert revisions_of(tmp_path) == []
    assert not (tmp_path / "replicas" / "churn").exists()


def test_a_replica_that_never_ran_has_no_lines(tmp_path: Path) -> None:
    assert Slot(tmp_path, REF, 0).tail(10) == []


@pytest.mark.parametrize("ending", ["", "\n"])
@given(lines=st.lists(st.text(alphabet="ab é", max_size=30), max_size=20), count=st.integers(0, 25))
def test_the_tail_is_the_last_lines_however_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, ending: str, lines: list[str], count: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "tail.log"
    text = "\n".join(lines) + ending
    path.write_text(text)
    whole = text.splitlines()
    assert tail(path, count, block=7) == (whole[-count:] if count else [])


def test_libraries_start_no_thread_pools_of_their_own_and_our_settings_stay_ours() -> None:
    given_environment = {"PATH": "/bin", "OMP_NUM_THREADS": "64", "TIDEGATE_HOME": "/home"}
    made = environment(given_environment, spec_of("churn", 3))
    assert made["PATH"] == "/bin"
    assert {made["OMP_NUM_THREADS"], made["OPENBLAS_NUM_THREADS"], made["MKL_NUM_THREADS"]} == {"1"}
    assert "TIDEGATE_HOME" not in made


def test_the_url_of_redis_is_handed_on_through_the_environment_to_those_that_cache_there_and_is_nowhere_else() -> None:
    given_environment = {"TIDEGATE_CACHE_URL": "redis://:secret@db/0"}
    for store in ("off", "memory", "redis"):
        spec = replace(spec_of("churn", 3), answering=Answering(cache=store))
        assert ("TIDEGATE_CACHE_URL" in environment(given_environment, spec)) == (store == "redis")
        words = server_command(spec, 1, Path("/run"))
        assert "secret" not in json.dumps(spec_document(spec, 1, words))


def test_each_replica_scores_with_the_library_of_kernels_that_the_controller_has() -> None:
    inherited = {kernel_library.VARIABLE: "/opt/kernels", "TIDEGATE_HOME": "/home"}
    handed_on = environment(inherited, spec_of("churn", 3))
    assert handed_on[kernel_library.VARIABLE] == "/opt/kernels"
    assert "TIDEGATE_HOME" not in handed_on


def test_the_store_and_the_key_of_hashes_are_handed_on_to_those_that_need_them_and_are_nowhere_else() -> None:
    controllers = {"TIDEGATE_STORE": "postgresql://boss:secret@db/x", "TIDEGATE_PREDICTION_LOG_KEY": "secret" * 4}
    # Another one than replicas are to have may be in the environment: what the controller leads is told with --store.
    serving = {**controllers, "TIDEGATE_SERVING_STORE": "postgresql://replica:secret@db/x"}
    for answering, given_environment, handed_on in (
        (Answering(), serving, {}),
        (Answering(prediction_sink="jsonl:/l"), serving, {}),
        (Answering(prediction_sink="store:"), controllers, {}),
        (Answering(prediction_sink="store:"), serving, {"TIDEGATE_STORE": serving["TIDEGATE_SERVING_STORE"]}),
        (
            Answering(prediction_sink="jsonl:/l", prediction_hashed=("name",)),
            serving,
            {"TIDEGATE_PREDICTION_LOG_KEY": controllers["TIDEGATE_PREDICTION_LOG_KEY"]},
        ),
        (Answering(prediction_sink="jsonl:/l", prediction_hashed=("name",), prediction_key_file="/key"), serving, {}),
    ):
        spec = replace(spec_of("churn", 3), answering=answering)
        made = environment(given_environment, spec)
        assert {name: value for name, value in made.items() if name.startswith("TIDEGATE_")} == handed_on
        assert "secret" not in json.dumps(spec_document(spec, 1, server_command(spec, 1, Path("/run"))))


def test_the_store_of_features_is_told_through_the_environment_to_those_that_look_them_up() -> None:
    from tidegate.server.settings import parse_arguments

    inherited = {"TIDEGATE_SERVING_STORE": "postgresql://me:secret@db/store"}
    plain = spec_of("churn", 3)
    looking = replace(
        plain, answering=Answering(features_view="planes", features_entity="plane", features_max_age_seconds=2.5)
    )
    assert "TIDEGATE_STORE" not in environment(inherited, plain)
    store = inherited["TIDEGATE_SERVING_STORE"]
    assert environment(inherited, looking)["TIDEGATE_STORE"] == store
    words = server_command(looking, 1, Path("/run"))
    assert "secret" not in json.dumps(spec_document(looking, 1, words))
    told = parse_arguments(words[3:]).features
    assert told is not None
    assert (told.view, told.entity, told.max_age_seconds) == ("planes", "plane", 2.5)
    assert "secret" not in repr(replace(told, store=store, cache_url="redis://:secret@db"))
    assert parse_arguments(server_command(plain, 1, Path("/run"))[3:]).features is None


def test_the_server_is_told_how_to_answer() -> None:
    from tidegate.server.settings import parse_arguments

    answering = Answering(
        timeout_seconds=7.5,
        batch_requests=16,
        batch_rows=100,
        cache="memory",
        cache_ttl_seconds=90.0,
        cache_bytes=3 * 1024**2 + 5,
        prediction_sink="jsonl:/log/{deployment}-{revision}-{replica}.jsonl",
        prediction_share=0.25,
        prediction_dropped=("e-mail", "--name, first"),
        prediction_hashed=("customer",),
        prediction_key_file="/etc/key",
    )
    settings = parse_arguments(server_command(replace(spec_of("churn", 3), answering=answering), 1, Path("/run"))[3:])
    assert (settings.timeout_seconds, settings.batch_requests, settings.batch_rows) == (7.5, 16, 100)
    assert (settings.cache.store, settings.cache.ttl_seconds) == ("memory", 90.0)
    assert settings.cache.limit_bytes == 3 * 1024**2 + 5
    assert settings.prediction_log is not None
    assert (settings.prediction_log.sink, settings.prediction_log.share) == ("jsonl:/log/churn-3-1.jsonl", 0.25)
    assert settings.prediction_log.dropped == ("e-mail", "--name, first")
    assert (settings.prediction_log.hashed, settings.prediction_log.key_file) == (("customer",), Path("/etc/key"))


def test_a_request_without_a_word_about_it_is_answered_as_the_server_answers_by_itself() -> None:
    from tidegate.server.settings import parse_arguments

    request = parse_request({"modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}})
    words = ["--bundle", "/b", "--deployment", "churn", "--revision", "1", "--run-dir", "/run"]
    settings = parse_arguments(words)
    wanted = answering_of(request)
    assert wanted == Answering()
    assert (settings.batch_requests, settings.batch_rows) == (wanted.batch_requests, wanted.batch_rows)
    assert (settings.cache.store, settings.cache.ttl_seconds) == (wanted.cache, wanted.cache_ttl_seconds)
    assert (settings.cache.limit_bytes, settings.prediction_log) == (wanted.cache_bytes, wanted.prediction_sink)


def test_the_servers_command_line_is_one_that_the_server_reads() -> None:
    from tidegate.server.settings import parse_arguments

    words = server_command(spec_of("churn", 3), 1, Path("/run"))
    assert words[1:3] == ["-m", "tidegate.server"]
    settings = parse_arguments(words[3:])
    assert (settings.identity.deployment, settings.identity.revision, settings.replica) == ("churn", 3, 1)
    assert (settings.run_dir, settings.port, settings.threads) == (Path("/run"), 0, 1)
    assert settings.grpc_port is None


def test_the_command_line_of_several_workers_is_one_that_supervisor_and_workers_read() -> None:
    from tidegate.server.settings import parse_arguments
    from tidegate.server.supervisor.settings import parse_arguments as parse_supervisor_arguments

    words = server_command(replace(spec_of("churn", 3), workers=4, grpc=True), 1, Path("/run"))
    assert words[1:3] == ["-m", "tidegate.server.supervisor"]
    supervisor = parse_supervisor_arguments(words[3:])
    assert (supervisor.deployment, supervisor.revision, supervisor.model) == ("churn", 3, "churn")
    assert (supervisor.workers, supervisor.port, supervisor.grpc_port) == (4, 0, 0)
    own = ["--bundle", "/bundle", "--deployment", "churn", "--revision", "3", "--run-dir", "/run"]
    worker = parse_arguments([*own, *supervisor.worker_options])
    assert (worker.replica, worker.threads, worker.timeout_seconds) == (1, 1, 30.0)
