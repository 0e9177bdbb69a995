"""CPU time of a series from one propagation, and of its settings one by one.

python benchmarks/series.py examples/thickness-defocus.yaml
"""

import sys
import time

import rhotem


def main(path: str) -> None:
    """Print CPU seconds either way, and the largest difference of an image in parts of its range."""
    plan = rhotem.load_plan(path)
    start = time.process_time()
    shared = rhotem.run_series(plan)
    between = time.process_time()
    single = {name: rhotem.run(one) for name, one in plan.runs()}
    end = time.process_time()
    worst = max(
        abs(shared[name].images[image] - values).max() / (values.max() - values.min())
        for name, result in single.items()
        for image, values in result.images.images.items()
        if values.shape == shared[name].images[image].shape
    )
    print(f"{len(single)} settings: {between - start:.1f} CPU s, one by one {end - between:.1f}; differ by {worst:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
