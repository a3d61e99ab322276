"""`/docs`: a page that shows what the model takes and gives and tries a request. It fetches nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any
from urllib.parse import quote

from tidegate.artifact.bundle import Bundle
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.server.protocols.base import Identity
from tidegate.server.protocols.tensorflow_serving import scores_of, value_of
from tidegate.server.protocols.values import family

_PAGE = Template(r"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --line: #8884; --dim: #666; --accent: #0a6e8a; }
  @media (prefers-color-scheme: dark) { :root { --dim: #aaa; --accent: #5cc3df; } }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { margin-bottom: 0; } h2 { margin-top: 2rem; font-size: 1.15rem; }
  p.about { color: var(--dim); margin-top: .25rem; }
  table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .35rem .75rem .35rem 0; }
  th { font-weight: 600; border-bottom: 2px solid var(--line); }
  td { border-bottom: 1px solid var(--line); vertical-align: top; }
  td code { overflow-wrap: anywhere; }
  code, pre, textarea { font: 14px/1.45 ui-monospace, monospace; }
  textarea { width: 100%; box-sizing: border-box; padding: .5rem; resize: vertical; }
  pre { padding: .75rem; border: 1px solid var(--line); white-space: pre-wrap; overflow-wrap: anywhere; }
  pre { max-height: 40rem; overflow-y: auto; }
  button { font: inherit; padding: .3rem 1rem; margin: .5rem 0; cursor: pointer; } a { color: var(--accent); }
  #timing { color: var(--dim); margin-left: .75rem; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="about">$about</p>
<h2>Takes</h2>
$inputs
<h2>Gives</h2>
$outputs
<h2>Try it</h2>
<p><code>POST predict</code> with one object per row. No input may be left out. <code>null</code> says that a value is
missing; what the model does without it is its own affair.</p>
<textarea id="request" rows="$rows" spellcheck="false" aria-label="request body">$sample</textarea>
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
/* JSON laid out anew as text: parsed to values, large whole numbers would lose digits. */
function laidOut(json) {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  let at = 0;
  function value(indent) {
    const open = tokens[at++];
    if (open !== "{" && open !== "[") return open;
    const close = open === "{" ? "}" : "]", parts = [];
    let nested = false;
    while (tokens[at] !== close) {
      if (tokens[at] === ",") at++;
      let name = "";
      if (open === "{") { name = tokens[at] + ": "; at += 2; }
      nested ||= open === "{" || tokens[at] === "{" || tokens[at] === "[";
      parts.push(name + value(indent + 2));
    }
    at++;
    const line = open + parts.join(", ") + close;
    if (!nested || (line.length + indent <= 88 && !line.includes("\n"))) return line;
    const pad = "\n" + " ".repeat(indent);
    return open + parts.map((part) => pad + "  " + part).join(",") + pad + close;
  }
  return value(0);
}
function inWords(timing) {
  const found = [...timing.matchAll(/(\w+);(?:dur|desc)=([^,\s]+)/g)];
  const times = Object.fromEntries(found.map((match) => match.slice(1)));
  if (!times.model) return "";
  const cache = times.cache ? `, cache $${times.cache}` : "";
  return `: waited $${times.queue} ms, model $${times.model} ms` + cache;
}
document.getElementById("send").addEventListener("click", async () => {
  const answer = document.getElementById("answer"), timing = document.getElementById("timing");
  try {
    const response = await fetch("predict", {
      method: "POST", headers: {"content-type": "application/json"}, body: document.getElementById("request").value,
    });
    const text = await response.text();
    const isJson = (response.headers.get("content-type") || "").startsWith("application/json");
    answer.textContent = isJson ? laidOut(text) : text;
    timing.textContent = response.status + inWords(response.headers.get("server-timing") || "");
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
#: Characters of the sample beyond which one row is enough, and columns of a line of it.
_LONG, _WIDE = 4000, 88
_FEWEST_LINES, _MOST_LINES = 6, 24


def render_page(bundle: Bundle, identity: Identity) -> str:
    """Return the page as HTML; its links are relative, so that it works under any prefix."""
    manifest, signature = bundle.manifest, bundle.signature
    about = [
        f"version {identity.model_version}",
        f"deployment {identity.deployment}, revision {identity.revision}",
        f"{manifest.runtime} {manifest.framework_version or ''} ({manifest.format})",
        f"bundle {manifest.digest[:12]}",
    ]
    sample = _sample(bundle)
    return _PAGE.substitute(
        title=escape(identity.model_name),
        about=escape(" · ".join(about)),
        model=quote(identity.model_name),
        more=_other_calls(signature),
        inputs=_table(("Input", "Value", "Takes null", "Known values"), list(map(_input_cells, signature.inputs))),
        outputs=_table(("Output", "Value", "Labels"), list(map(_output_cells, signature.outputs))),
        sample=escape(sample),
        rows=min(max(sample.count("\n") + 2, _FEWEST_LINES), _MOST_LINES),
    )


def _sample(bundle: Bundle) -> str:
    rows = list(bundle.sample)[:_ROWS_SHOWN]
    text = _laid_out(rows)
    return text if len(text) <= _LONG else _laid_out(rows[:1])


def _laid_out(value: Any, indent: int = 0) -> str:
    """Return JSON with what fits on one line, and every list of plain values, on one line."""
    line = json.dumps(value, ensure_ascii=False)
    is_plain_list = isinstance(value, list) and not any(isinstance(item, list | dict) for item in value)
    if not isinstance(value, list | dict) or is_plain_list or len(line) + indent <= _WIDE:
        return line
    inner = indent + 2
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(item, inner)}" for key, item in value.items()]
    else:
        parts = [_laid_out(item, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    pad = "\n" + " " * indent
    return opening + ",".join(f"{pad}  {part}" for part in parts) + pad + closing


def _other_calls(signature: Signature) -> str:
    calls = {":classify": scores_of(signature), ":regress": value_of(signature)}
    return "".join(f", <code>{name}</code>" for name, output in calls.items() if output is not None)


def _input_cells(spec: TensorSpec) -> tuple[str, ...]:
    takes_null = "yes" if family(spec.datatype) in ("FLOAT", "BYTES") else "no"
    return spec.name, _value(spec), takes_null, _some(spec.categories)


def _output_cells(spec: TensorSpec) -> tuple[str, ...]:
    return spec.name, _value(spec), _some(spec.labels)


def _table(titles: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table whose first column holds names; columns without any content are left out."""
    kept = [position for position in range(len(titles)) if any(row[position] for row in rows)]
    head = "".join(f"<th>{escape(titles[position])}</th>" for position in kept)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row[position], is_name=position == 0)}</td>" for position in kept) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str, *, is_name: bool) -> str:
    return f"<code>{escape(text)}</code>" if is_name else escape(text)


def _value(spec: TensorSpec) -> str:
    inner = [str(size) if size != -1 else "any" for size in spec.shape[1:]]
    word = _WORDS[family(spec.datatype)]
    return f"{word} ({spec.datatype})" if not inner else f"{word}, {' × '.join(inner)} ({spec.datatype})"


def _some(values: tuple[str, ...] | None) -> str:
    if values is None:
        return ""
    more = f", and {len(values) - _VALUES_SHOWN} more" if len(values) > _VALUES_SHOWN else ""
    return ", ".join(values[:_VALUES_SHOWN]) + more
