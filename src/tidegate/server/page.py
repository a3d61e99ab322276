"""`/docs`: a page that shows what the model takes and gives and tries a request. It fetches nothing from elsewhere."""

from __future__ import annotations

import json
from html import escape
from string import Template

from tidegate.artifact.bundle import Bundle
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.server.protocols.base import Identity
from tidegate.server.protocols.tensorflow_serving import scores_of, value_of
from tidegate.server.protocols.values import family

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --dim: #777; --accent: #0a6e8a; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { margin-bottom: 0; } h2 { margin-top: 2rem; font-size: 1.15rem; }
  p.about { color: var(--dim); margin-top: .25rem; }
  table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .35rem .75rem .35rem 0; }
  th { font-weight: 600; border-bottom: 2px solid var(--line); }
  td { border-bottom: 1px solid var(--line); vertical-align: top; }
  code, pre, textarea { font: 14px/1.45 ui-monospace, monospace; }
  textarea { width: 100%; box-sizing: border-box; min-height: 14rem; padding: .5rem; }
  pre { padding: .75rem; border: 1px solid var(--line); overflow-x: auto; white-space: pre-wrap; }
  button { font: inherit; padding: .3rem 1rem; margin: .5rem 0; cursor: pointer; } a { color: var(--accent); }
  #timing { color: var(--dim); margin-left: .75rem; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="about">$about</p>
<h2>Takes</h2>
<table><thead><tr><th>Input</th><th>Value</th><th>May be missing</th><th>Known values</th></tr></thead>
<tbody>$inputs</tbody></table>
<h2>Gives</h2>
<table><thead><tr><th>Output</th><th>Value</th><th>Labels</th></tr></thead><tbody>$outputs</tbody></table>
<h2>Try it</h2>
<p><code>POST predict</code> with one object per row.
A missing value is <code>null</code>; an input must not be left out.</p>
<textarea id="request" spellcheck="false" aria-label="request body">$sample</textarea>
<button id="send">Send</button><span id="timing" role="status"></span>
<pre id="answer" aria-live="polite">The answer comes here.</pre>
<h2>For programs</h2>
<p><a href="openapi.json">openapi.json</a> describes this model, <a href="metrics"><code>metrics</code></a> are for
Prometheus.</p>
<table><thead><tr><th>Path</th><th>What it speaks</th></tr></thead><tbody>
<tr><td><code>POST predict</code></td><td>JSON, CSV, Arrow IPC or Parquet by <code>Content-Type</code>; answers in what
<code>Accept</code> asks for</td></tr>
<tr><td><code>POST <a href="v2/models/$model">v2/models/$model</a>/infer</code></td>
<td>Open Inference Protocol v2, tensors as JSON or as bytes</td></tr>
<tr><td><code>POST <a href="v1/models/$model/metadata">v1/models/$model</a>:predict</code>$more</td>
<td>TensorFlow Serving's REST API</td></tr>
</tbody></table>
<script>
document.getElementById("send").addEventListener("click", async () => {
  const answer = document.getElementById("answer"), timing = document.getElementById("timing");
  try {
    const response = await fetch("predict", {
      method: "POST", headers: {"content-type": "application/json"}, body: document.getElementById("request").value,
    });
    answer.textContent = JSON.stringify(await response.json(), null, 2);
    timing.textContent = response.status + " " + (response.headers.get("server-timing") || "");
  } catch (error) {
    answer.textContent = String(error);
    timing.textContent = "";
  }
});
</script>
</body>
</html>
""")

_WORDS = {"FLOAT": "number", "INT": "whole number", "BOOL": "true or false", "BYTES": "text"}
_ROWS_SHOWN = 2
_VALUES_SHOWN = 12


def render_page(bundle: Bundle, identity: Identity) -> str:
    """Return the page as HTML; its links are relative, so that it works under any prefix."""
    manifest = bundle.manifest
    about = [
        f"deployment {identity.deployment}, revision {identity.revision}",
        f"{manifest.runtime} {manifest.framework_version or ''} ({manifest.format})",
        f"bundle {manifest.digest[:12]}",
    ]
    return _PAGE.substitute(
        title=escape(f"{identity.model_name} {identity.model_version}"),
        about=escape(" · ".join(about)),
        model=escape(identity.model_name),
        more=escape(_other_calls(bundle.signature)),
        inputs="".join(map(_input_row, bundle.signature.inputs)),
        outputs="".join(map(_output_row, bundle.signature.outputs)),
        sample=escape(json.dumps(list(bundle.sample)[:_ROWS_SHOWN], indent=2, ensure_ascii=False)),
    )


def _other_calls(signature: Signature) -> str:
    calls = {":classify": scores_of(signature), ":regress": value_of(signature)}
    return "".join(f", {name}" for name, output in calls.items() if output is not None)


def _input_row(spec: TensorSpec) -> str:
    missing = "yes" if family(spec.datatype) in ("FLOAT", "BYTES") else "no"
    return _row(spec.name, _value(spec), missing, _some(spec.categories))


def _output_row(spec: TensorSpec) -> str:
    return _row(spec.name, _value(spec), _some(spec.labels))


def _row(name: str, *cells: str) -> str:
    rest = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr><td><code>{escape(name)}</code></td>{rest}</tr>"


def _value(spec: TensorSpec) -> str:
    inner = [str(size) if size != -1 else "any" for size in spec.shape[1:]]
    shape = f", {' × '.join(inner)} of them" if inner else ""
    return f"{_WORDS[family(spec.datatype)]} ({spec.datatype}){shape}"


def _some(values: tuple[str, ...] | None) -> str:
    if values is None:
        return ""
    more = f", and {len(values) - _VALUES_SHOWN} more" if len(values) > _VALUES_SHOWN else ""
    return ", ".join(values[:_VALUES_SHOWN]) + more
