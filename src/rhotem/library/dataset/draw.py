"""The pictures of one response, drawn with generators of their own: any of them can be drawn again alone."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import cut
from rhotem.core import InputError
from rhotem.library.campaign.compute import prepared
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.model import DatasetPlan
from rhotem.library.dataset.recipes import recipes
from rhotem.library.dataset.scene import Scene, scene
from rhotem.library.dataset.store import write_shard

#: Å: places farther than that from every column lie beside the specimen.
EMPTY = 3.0


@dataclass(frozen=True)
class ShardJob:
    """One shard to be drawn.

    Parameters
    ----------
    library : Path
        Holds the response.
    task : str
        `rhotem.library.campaign.task.Task.to_json`.
    plan : DatasetPlan
    path : Path
        Of the shard.
    drawn_as : str
        Task whose draws its pictures have; its own if left out.
    later : tuple of str
        Further states of the specimen, for recipes that show several.
    """

    library: Path
    task: str
    plan: DatasetPlan
    path: Path
    drawn_as: str = ""
    later: tuple[str, ...] = ()


def draw_shard(job: ShardJob) -> str:
    """Draw a shard; returns "", or in words why it cannot be."""
    task = Task.from_json(job.task)
    try:
        recipe, said = recipes()[job.plan.recipe], job.plan.pictures
        states = [task, *(Task.from_json(line) for line in job.later)]
        scenes, every = [scene_of(one) for one in states], [recipe.opens(one, job.library, said) for one in states]
        seen, held = (scenes, every) if recipe.states else (scenes[0], every[0])
        pictures = []
        for number in range(said.each):
            image = said.images[number % len(said.images)]
            picture = recipe.take(held, said, image, generator(job.plan.seed, job.drawn_as or task.id, number))
            arrays, table = recipe.label(picture, seen)
            pictures.append((arrays, table, picture.settings | recipe.facts(picture, seen)))
        about = {"id": task.id, "labels": list(scenes[0].labels), "phases": list(scenes[0].phases)}
        write_shard(job.path, pictures, about, recipe.single)
    except InputError as error:
        return " ".join(f"{task.title}: {error}".split())
    return ""


def generator(seed: int, identifier: str, number: int) -> np.random.Generator:
    """That of one picture."""
    return np.random.default_rng([seed, int(identifier, 16), number])


def scene_of(task: Task) -> Scene:
    """The columns of a task's specimen, built again."""
    job, built = prepared(task, Voice())
    made = cut(job.plan, job.crystal, [job.name])
    seen = scene(made.cell, built)
    return seen if widest(seen) > EMPTY else replace(seen, vacuum=made.vacuum)


def widest(seen: Scene) -> float:
    """Distance in Å of the place farthest from all columns, to half an Å."""
    from scipy.spatial import cKDTree

    sides = np.array(seen.cell)
    mesh = np.meshgrid(*(np.arange(0.0, side, 0.5) for side in sides), indexing="ij")
    points = np.stack([m.ravel() for m in mesh], axis=1)
    return float(cKDTree(np.mod(seen.places, sides) % sides, boxsize=sides).query(points)[0].max())
