"""Users of a deployment in the stack, and its containers."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import numpy as np
import tritonclient.grpc as triton

from tests.stack.conftest import Stack, docker, eventually

RATE = 40


class Users:
    """Users who send a steady rate of rows and keep their connections, from several threads."""

    def __init__(self, url: str, rows: list[dict[str, Any]]) -> None:
        self._url = url
        self._bodies = [json.dumps({"records": [row]}) for row in rows]
        self._ending = threading.Event()
        self._lock = threading.Lock()
        #: When it was sent, its status (0 without an answer), the revision that answered, and what was said.
        self.answers: list[tuple[float, int, str | None, str]] = []
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(4)]

    def __enter__(self) -> Users:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        pause = len(self._threads) / RATE
        with httpx.Client(trust_env=False, timeout=20) as http:
            for body in self._bodies[number :: len(self._threads)] * 1000:
                if self._ending.wait(pause):
                    return
                at = time.time()
                try:
                    answer = http.post(self._url, content=body)
                    told = at, answer.status_code, answer.headers.get("x-tidegate-revision"), answer.text[:200]
                except httpx.HTTPError as error:
                    told = at, 0, None, repr(error)
                with self._lock:
                    self.answers.append(told)

    def failed(self) -> list[tuple[float, int, str | None, str]]:
        with self._lock:
            return [answer for answer in self.answers if answer[1] != 200]

    def answered(self, more: int) -> None:
        """Wait until so many more were answered."""
        target = len(self.answers) + more
        eventually(f"{more} more answers", lambda: len(self.answers) >= target)


def replicas(stack: Stack, *, everything: bool = False) -> dict[str, str]:
    """Return the ids of the containers of replicas, by name."""
    words = (
        "ps",
        "--no-trunc",
        "--filter",
        f"label=tidegate.project={stack.project}",
        "--format",
        "{{.Names}} {{.ID}}",
    )
    listed = docker(*words, *(("--all",) if everything else ())).splitlines()
    return {name.removeprefix(f"{stack.project}-replica-"): found for name, found in map(str.split, sorted(listed))}


def over_grpc(stack: Stack, name: str, rows: list[dict[str, Any]]) -> list[str]:
    """Ask a deployment over gRPC, through TLS; return what it predicts."""
    certificate = str(stack.secrets / "tls" / "tls.crt")
    address = f"localhost:{stack.https_port}"
    with triton.InferenceServerClient(address, ssl=True, root_certificates=certificate) as client:
        tensors = []
        for spec in client.get_model_metadata(name).inputs:
            values = [row[spec.name] for row in rows]
            is_text = spec.datatype == "BYTES"
            made = np.array(values, dtype=object if is_text else triton.triton_to_np_dtype(spec.datatype))
            tensor = triton.InferInput(spec.name, [len(rows)], spec.datatype)
            tensor.set_data_from_numpy(made)
            tensors.append(tensor)
        return [label.decode() for label in client.infer(name, tensors).as_numpy("predict").tolist()]
