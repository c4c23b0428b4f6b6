"""What the Python peers share: the command line, the input files, the clock and the result file."""

import argparse
import json
import os
import resource
import sys
import time
from dataclasses import dataclass

import numpy
from safetensors.numpy import load_file


def arguments(description: str, **choices: list[str]) -> argparse.Namespace:
    """The arguments every peer takes; each of `choices` becomes an optional flag, its first value the default."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("weights", "batches", "config", "out"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("threads", "steps", "warmup"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name, values in choices.items():
        parser.add_argument(f"--{name}", choices=values, default=values[0])
    return parser.parse_args()


@dataclass
class Inputs:
    config: dict
    weights: dict[str, numpy.ndarray]
    tokens: numpy.ndarray  # int32 [steps, batch, seq]
    labels: numpy.ndarray  # int32 [steps, batch, seq]


def read_inputs(args: argparse.Namespace) -> Inputs:
    with open(args.config, encoding="utf8") as file:
        config = json.load(file)
    batches = load_file(args.batches)
    if len(batches["tokens"]) < args.steps:
        sys.exit(f"{args.batches} holds {len(batches['tokens'])} batches, but --steps is {args.steps}")
    return Inputs(config, load_file(args.weights), batches["tokens"], batches["labels"])


def peak_rss_bytes() -> int:
    """Highest resident memory. On Linux from /proc: the figure of getrusage survives exec and may be the parent's."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def timed_steps(steps: int, step) -> tuple[list[float], list[float]]:
    """Runs `step(index) -> loss`, which must return only when all results of the step are in memory."""
    losses, millis = [], []
    for index in range(steps):
        start = time.perf_counter()
        loss = step(index)
        millis.append((time.perf_counter() - start) * 1e3)
        losses.append(loss)
    return losses, millis


def write_json(path: str, result: dict) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf8") as file:
        json.dump(result, file)
    os.replace(temporary, path)
