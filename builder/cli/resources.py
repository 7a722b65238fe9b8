"""Options that limit what steps and containers may use: Docker's names and forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from builder.cli.help import F
from builder.cli.options import gathering

_OPTIONS = (
    click.option("-m", "--memory", default="", metavar="SIZE", help="Most memory, such as 512m."),
    click.option("--memory-swap", default="", metavar="SIZE", help="Most memory and swap together; -1: any."),
    click.option("--cpus", default="", metavar="NUMBER", help="Most processor time, in processors, such as 1.5."),
    click.option(
        "-c", "--cpu-shares", default=0, metavar="N", help="Its weight when others want the processors; default 1024."
    ),
    click.option("--cpu-period", default=0, metavar="N", help="Microseconds that --cpu-quota is of; default 100000."),
    click.option("--cpu-quota", default=0, metavar="N", help="Most processor time, in microseconds of each period."),
    click.option("--cpuset-cpus", default="", metavar="LIST", help="Processors to run on, such as 0-3 or 0,2."),
    click.option("--cpuset-mems", default="", metavar="LIST", help="Memory nodes to use, such as 0-3 or 0,2."),
    click.option("--pids-limit", default=0, metavar="N", help="Most processes and threads; -1: any."),
    click.option("--cgroup-parent", default="", metavar="PATH", help="Control group to make its group in."),
    click.option("--shm-size", default="", metavar="SIZE", help="Size of /dev/shm; default 64m."),
    click.option(
        "--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="Resource limit of each process."
    ),
)


def gathered_resources(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options `given`, those of resources in one mapping `resources`."""
    names = (
        "memory", "memory_swap", "cpus", "cpu_shares", "cpu_period", "cpu_quota", "cpuset_cpus", "cpuset_mems",
        "pids_limit", "cgroup_parent", "shm_size", "ulimits",
    )  # fmt: skip
    rest = {name: value for name, value in given.items() if name not in names}
    return {**rest, "resources": {name: given[name] for name in names}}


def resource_options(command: F) -> F:
    """The options, handed to `command` as one mapping `resources`, as api/resources takes it."""
    return gathering("Limits", _OPTIONS, gathered_resources, command)
