"""Runs this server beside the reference and prints both, with ratios.

Both get the same core, the same agent program and a data folder of their own; measures alternate between them, and
each gets a fresh server. Numbers are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hosts import Bench, ours, reference, reference_program
from measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hosts import Host
    from measures import Measure

Results = dict[str, dict[str, dict[str, float]]]  # measure -> number -> host -> median


def arguments(about: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the work, one round")
    parser.add_argument("--rounds", type=int, help="how often each measure is run on each server (default 3)")
    parser.add_argument("--only", action="append", metavar="NAME", help="measures whose name holds this; repeatable")
    parser.add_argument("--host", choices=["ours", "reference"], help="measure only one of the two")
    parser.add_argument("--reference", type=Path, metavar="PATH", help="the reference's program (default: from npm)")
    parser.add_argument("--core", type=int, help="the core the servers get (default: the first)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    return parser.parse_args()


def measure(bench: Bench, hosts: list[Host], options: argparse.Namespace, measures: Sequence[Measure]) -> Results:
    rounds = options.rounds or (1 if options.quick else 3)
    chosen = [m for m in measures if not options.only or any(word in m.name for word in options.only)]
    results: Results = {}
    for what in chosen:
        print(f"\n{what.name}: {what.about}", flush=True)
        numbers: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for _ in range(rounds):
            for host in hosts:
                with bench.running(host) as server:
                    for number, value in what.run(server, 0.2 if options.quick else 1.0).items():
                        numbers[number][host.name].append(value)
        results[what.name] = {
            number: {host: statistics.median(values) for host, values in by_host.items()}
            for number, by_host in numbers.items()
        }
        show(results[what.name])
    return results


def show(numbers: dict[str, dict[str, float]]) -> None:
    for number, by_host in numbers.items():
        cells = "".join(f"{host:>12} {value:>12,.1f}" for host, value in by_host.items())
        ratio = ""
        if len(by_host) == 2 and by_host["reference"]:
            ratio = f"   ours/reference {by_host['ours'] / by_host['reference']:.2f}"
        print(f"  {number:<34}{cells}{ratio}", flush=True)


def main(measures: Sequence[Measure] = MEASURES, about: str | None = __doc__) -> int:
    """Measure what the command line asks for of ``measures``."""
    options = arguments(about)
    hosts = []
    if options.host != "ours":
        hosts.append(reference(options.reference or reference_program()))
    if options.host != "reference":
        hosts.append(ours())
    bench = Bench(options.core)
    machine: dict[str, Any] = {
        "cores": os.cpu_count(),
        "server core": bench.core,
        "client and agent cores": bench.rest,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    print("; ".join(f"{name}: {value}" for name, value in machine.items()))
    results = measure(bench, hosts, options, measures)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
