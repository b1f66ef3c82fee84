"""One HTML file that holds a scene, the program that shows it, and the runtime of its decoder."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Any

from autoencode import pictures
from autoencode.console import printable
from autoencode.explorer.scene import Scene

_WEB = Path(pictures.__file__).parent / "web"
SCRIPT, STYLE, RUNTIME = (_WEB / name for name in ("explorer.js", "explorer.css", "ort.wasm.gz"))

# Nothing is fetched, nothing is evaluated but this program and the runtime of the decoder.
_POLICY = (
    "default-src 'none'; script-src '{script}' 'wasm-unsafe-eval'; style-src '{style}'; "
    "img-src blob: data:; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title} · autoencode</title>
<style>{style}</style>
</head>
<body>
<div id="explorer"><p class="wait">Reading the points …</p></div>
<noscript><p class="wait">This page draws with JavaScript, which is switched off here.</p></noscript>
{data}
<script type="module">{script}</script>
</body>
</html>
"""


def page(scene: Scene) -> bytes:
    """Builds the page of a scene: it needs no server, no network and no other file.

    Arrays stand in it as base64 of gzip, each in an element of its own, which no browser runs; words
    of the data stand in JSON, and become text and never markup.
    """
    script, style = SCRIPT.read_text("utf-8"), STYLE.read_text("utf-8")
    head = dict(scene.head)
    chunks = list(scene.packed.chunks)
    if "chunk" in head["decoder"]:
        head["runtime"] = {"chunk": len(chunks)}
        chunks.append(RUNTIME.read_bytes())
    policy = _POLICY.format(script=_hash(script), style=_hash(style))
    data = [_element("head", "application/json", _json(head))]
    data += [
        _element(f"chunk-{i}", "application/octet-stream", base64.b64encode(chunk).decode("ascii"))
        for i, chunk in enumerate(chunks)
    ]
    text = _PAGE.format(
        policy=policy,
        title=html.escape(printable(str(head["title"]))),
        style=style,
        script=script,
        data="\n".join(data),
    )
    return text.encode(errors="replace")


def _element(name: str, kind: str, content: str) -> str:
    return f'<script type="{kind}" id="{name}">{content}</script>'


def _json(value: dict[str, Any]) -> str:
    """Writes JSON in which no tag can begin, whatever the words of the data are."""
    text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    """Replaces what JSON has no number for by null."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
