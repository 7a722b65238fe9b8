"""A graph for people and programs: text, Graphviz dot, JSON."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from builder.graph.remote import redacted
from builder.graph.vertex import BaseImage, Copy, GitTree, Graph, Run, Scratch, UrlFile, Vertex, Workdir, inputs

FORMATS = ("text", "dot", "json")


def render(graph: Graph, form: str) -> str:
    """`graph` as one of FORMATS."""
    return {"text": _text, "dot": _dot, "json": _json}[form](graph)


def _text(graph: Graph) -> str:
    tops = {target.top for target in graph.targets}
    width = len(str(len(graph.vertices) - 1))
    lines = []
    for number, vertex in enumerate(graph.vertices):
        after = inputs(vertex)
        needs = f"  ← {', '.join(map(str, after))}" if after else ""
        lines.append(f"{number:>{width}}  {vertex.origin.name}{needs}{'  (target)' if number in tops else ''}")
    return "\n".join(lines)


def _dot(graph: Graph) -> str:
    lines = ["digraph build {", '  rankdir="BT";', '  node [shape="box", fontname="monospace"];']
    tops = {target.top for target in graph.targets}
    for number, vertex in enumerate(graph.vertices):
        text = vertex.origin.name.replace("\\", "\\\\").replace('"', '\\"')
        style = ', style="bold"' if number in tops else ""
        lines.append(f'  v{number} [label="{text}"{style}];')
    for number, vertex in enumerate(graph.vertices):
        lines += [f"  v{number} -> v{needed};" for needed in inputs(vertex)]
    return "\n".join([*lines, "}"])


def _json(graph: Graph) -> str:
    vertices = [
        {"id": number, "op": type(vertex).__name__.lower(), "inputs": list(inputs(vertex)), **_facts(vertex)}
        for number, vertex in enumerate(graph.vertices)
    ]
    first, *others = graph.targets
    document = {"target": first.top, "vertices": vertices, "config": first.config.document()}
    if others:
        document["targets"] = [
            {"platform": str(t.platform), "target": t.top, "config": t.config.document()} for t in graph.targets
        ]
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _facts(vertex: Vertex) -> dict[str, Any]:
    facts: dict[str, Any]
    match vertex:
        case Scratch(platform=platform):
            facts = {"platform": str(platform)}
        case BaseImage():
            facts = {"reference": vertex.reference, "manifest": str(vertex.manifest)}
        case Run():
            facts = {"argv": vertex.argv, "cwd": vertex.cwd, "user": vertex.user, "network": vertex.network}
        case Copy():
            also = (path for part in vertex.also for path in part.paths)
            facts = {"paths": (*vertex.paths, *also), "destination": vertex.destination}
            facts["heredocs"] = [file.name for file in vertex.inline]
        case UrlFile(url=url):
            facts = {"url": redacted(url)}
        case GitTree(remote=remote, ref=ref):
            facts = {"remote": redacted(remote), "ref": ref}
        case Workdir():
            facts = {"path": vertex.path}
        case _ as unreachable:
            assert_never(unreachable)
    origin = vertex.origin
    return {"name": origin.name, "stage": origin.stage, "line": origin.line, **facts}
