"""Two data sets that differ in the density of their specimens alone: same crystals, lenses, doses, places, jitter.

    python benchmarks/density_sets.py examples/datasets/density-free.yaml examples/datasets/density-learned.yaml \
        --library LIBRARY --out SETS [--each 60]

Writes ``SETS/free`` and ``SETS/learned``, data sets as `rhotem dataset make` writes them; picture i of a learned
density has the draws of picture i of free atoms. What is there is not made again. Training and reading:

    rhotem dataset train SETS/free --steps 600 --seed 0 --out SETS/free-0       (and learned; seeds 0, 1, …)
    python benchmarks/density_pictures.py SETS/learned --free SETS/free-*/network.safetensors --learned …
"""

import argparse
from pathlib import Path

from rhotem.library.dataset.draw import ShardJob, draw_shard
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import begun, described, planned, refuse_other, simulated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("free")
    parser.add_argument("learned")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=60)
    asked = parser.parse_args()
    first = None
    for name in ("free", "learned"):
        plan = load_dataset_plan(getattr(asked, name))
        plan = plan.model_copy(update={"pictures": plan.pictures.model_copy(update={"each": asked.each})})
        campaigns = planned(plan)
        tasks = [task for _, some in campaigns for task in some]
        first = first or tasks
        about = described(plan, [(task,) for task in tasks])
        refuse_other(about, asked.out / name)
        simulated(plan, campaigns, asked.library, 1, print)
        dataset = begun(about, asked.out / name)
        for task, other, shard in zip(tasks, first, dataset.every, strict=True):
            if not shard.there:
                why = draw_shard(ShardJob(asked.library, task.to_json(), plan, shard.path, other.id))
                print(f"{name}, {task.title}: {why or 'drawn'}", flush=True)


if __name__ == "__main__":
    main()
