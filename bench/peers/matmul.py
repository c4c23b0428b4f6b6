"""Speed of square float32 matrix products in JAX or PyTorch on the CPU: best and median of repeated runs, as JSON."""

import argparse
import statistics
import time

import numpy

from peer_protocol import write_json


def jax_product(n: int):
    import jax

    rng = numpy.random.default_rng(n)
    a, b = (jax.numpy.asarray(rng.standard_normal((n, n), dtype=numpy.float32)) for _ in range(2))
    product = jax.jit(lambda x, y: x @ y)
    return lambda: product(a, b).block_until_ready()


def torch_product(n: int):
    import torch

    a, b, out = (torch.randn(n, n) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def measure(product, seconds: float) -> list[float]:
    """Times of at least five runs, in milliseconds, after two that do not count."""
    product()
    product()
    millis, end = [], time.perf_counter() + seconds
    while len(millis) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        product()
        millis.append((time.perf_counter() - start) * 1e3)
    return millis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", choices=["jax", "torch"], required=True)
    parser.add_argument("--sizes", required=True, help="comma-separated n of the [n, n] matrices")
    parser.add_argument("--threads", type=int, required=True, help="for JAX also set NPROC before the start")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each size")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    if args.framework == "torch":
        import torch

        torch.set_num_threads(args.threads)
        version, product_of = f"torch {torch.__version__}", torch_product
    else:
        import jax

        version, product_of = f"jax {jax.__version__}", jax_product
    results = []
    for n in (int(size) for size in args.sizes.split(",")):
        millis = measure(product_of(n), args.seconds)
        best, median = min(millis), statistics.median(millis)
        gflops = 2 * n**3 / 1e6
        results.append(
            {"n": n, "bestMillis": best, "medianMillis": median, "gflops": gflops / median, "bestGflops": gflops / best}
        )
    name = "pytorch" if args.framework == "torch" else "jax"
    write_json(args.out, {"name": name, "version": version, "threads": args.threads, "results": results})


if __name__ == "__main__":
    main()
