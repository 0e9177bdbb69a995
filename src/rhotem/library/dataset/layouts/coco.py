"""COCO: PNG pictures and ``annotations.json``, a polygon and a box for every column, categories by species."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.library.dataset.layouts.base import Layout, grey
from rhotem.library.dataset.maps import RADIUS
from rhotem.library.dataset.scene import SPECIES
from rhotem.library.dataset.store import Dataset

#: Corners of the polygon that stands for a disc.
CORNERS = 12


def write(dataset: Dataset, split: str | None, folder: Path) -> int:
    """Pictures of 8 bits; ``vacant`` and ``exchanged`` are attributes of an annotation."""
    from PIL import Image

    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for arrays, said in dataset.pictures(split):
        number = len(images) + 1
        name = f"{number:07d}.png"
        Image.fromarray(grey(arrays["image"])).save(folder / "images" / name)
        rows, columns = arrays["image"].shape
        images.append({"id": number, "file_name": name, "width": columns, "height": rows, "pixel_A": said["pixel_A"]})
        for row in arrays["table"]:
            if 0 <= row[0] <= columns - 1 and 0 <= row[1] <= rows - 1:
                annotations.append(_column(row, RADIUS / said["pixel_A"], number, len(annotations) + 1))
    categories = [{"id": i, "name": species} for i, species in enumerate(SPECIES) if i]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content), "utf-8")
    return len(images)


def _column(row: Any, radius: float, image: int, number: int) -> dict[str, Any]:
    x, y = float(row[0]), float(row[1])
    turns = 2 * np.pi * np.arange(CORNERS) / CORNERS
    polygon = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)
    return {
        "id": number,
        "image_id": image,
        "category_id": int(row[2]),
        "iscrowd": 0,
        "area": round(float(np.pi * radius**2), 2),
        "bbox": [round(v, 2) for v in (x - radius, y - radius, 2 * radius, 2 * radius)],
        "segmentation": [[round(float(v), 2) for v in polygon.ravel()]],
        "attributes": {"vacant": round(float(row[4]), 4), "exchanged": round(float(row[5]), 4)},
    }


LAYOUT = Layout("coco", "PNG pictures and polygons of columns", write)
