"""The OpenAPI document as one plain page: no script, nothing fetched."""

from __future__ import annotations

import json
from html import escape
from typing import Any

METHODS = ("get", "post", "put", "delete")


def render(document: dict[str, Any]) -> str:
    """All calls of an OpenAPI document as HTML."""
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    parts = [
        f"<h1>{title}</h1><p>{escape(info.get('description', ''))}</p>",
        '<p>The same for programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, calls in document["paths"].items():
        parts += [_call(document, path, method, calls[method]) for method in METHODS if method in calls]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _call(document: dict[str, Any], path: str, method: str, call: dict[str, Any]) -> str:
    rows = "".join(_parameter(one) for one in call.get("parameters", []))
    body = call.get("requestBody", {})
    sent = escape(f"{', '.join(body.get('content', {}))}: {body.get('description', '')}") if body else "none"
    answers = "".join(
        f"<dt>{escape(status)}</dt><dd>{escape(answer['description'])}{_example(document, answer)}</dd>"
        for status, answer in sorted(call["responses"].items())
    )
    table = f"<table><tr><th>parameter</th><th>in</th><th>what</th></tr>{rows}</table>" if rows else ""
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(call.get('description', call.get('summary', '')))}</p>{table}"
        f"<p>Body: {sent}</p><dl>{answers}</dl></section>"
    )


def _parameter(one: dict[str, Any]) -> str:
    name = escape(one["name"]) + ("" if one.get("required") else " (optional)")
    cells = f"<code>{name}</code>", one["in"], escape(one.get("description", ""))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _example(document: dict[str, Any], answer: dict[str, Any]) -> str:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    examples = document["components"]["schemas"].get(name, {}).get("examples", [])
    return f"<pre>{escape(json.dumps(examples[0], indent=2))}</pre>" if examples else ""
