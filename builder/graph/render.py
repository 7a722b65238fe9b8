"""A graph for people and programs: text, Graphviz dot, JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from builder.graph.vertex import BaseImage, Copy, Graph, Run, Scratch, Vertex, Workdir, inputs

FORMATS = ("text", "dot", "json")


def render(graph: Graph, form: str) -> str:
    """`graph` as one of FORMATS."""
    return {"text": _text, "dot": _dot, "json": _json}[form](graph)


def label(vertex: Vertex) -> str:
    """What a vertex is called."""
    return "scratch" if isinstance(vertex, Scratch) else vertex.origin.name


def _text(graph: Graph) -> str:
    width = len(str(len(graph.vertices) - 1))
    lines = []
    for number, vertex in enumerate(graph.vertices):
        after = inputs(vertex)
        needs = f"  ← {', '.join(map(str, after))}" if after else ""
        lines.append(f"{number:>{width}}  {label(vertex)}{needs}{'  (target)' if number == graph.top else ''}")
    return "\n".join(lines)


def _dot(graph: Graph) -> str:
    lines = ["digraph build {", '  rankdir="BT";', '  node [shape="box", fontname="monospace"];']
    for number, vertex in enumerate(graph.vertices):
        text = label(vertex).replace("\\", "\\\\").replace('"', '\\"')
        style = ', style="bold"' if number == graph.top else ""
        lines.append(f'  v{number} [label="{text}"{style}];')
    for number, vertex in enumerate(graph.vertices):
        lines += [f"  v{number} -> v{needed};" for needed in inputs(vertex)]
    return "\n".join([*lines, "}"])


def _json(graph: Graph) -> str:
    vertices = [
        {"id": number, "op": type(vertex).__name__.lower(), "inputs": list(inputs(vertex)), **_facts(vertex)}
        for number, vertex in enumerate(graph.vertices)
    ]
    document = {"target": graph.top, "vertices": vertices, "config": graph.config.document()}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _facts(vertex: Vertex) -> dict[str, Any]:
    match vertex:
        case Scratch(platform=platform):
            return {"name": "scratch", "platform": str(platform)}
        case BaseImage():
            facts: dict[str, Any] = {"reference": vertex.reference, "manifest": str(vertex.manifest)}
        case Run():
            facts = {"argv": vertex.argv, "cwd": vertex.cwd, "user": vertex.user, "network": vertex.network}
        case Copy():
            facts = {"paths": vertex.paths, "destination": vertex.destination}
            facts["heredocs"] = [file.name for file in vertex.inline]
        case Workdir():
            facts = {"path": vertex.path}
    origin = vertex.origin
    return {"name": origin.name, "stage": origin.stage, "line": origin.line, **facts}
