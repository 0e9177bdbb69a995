"""TEMImageNet: folders of PNG pictures of one name each, ``image`` and the label maps beside it.

R. Lin, R. Zhang, C. Wang, X.-Q. Yang, H. L. Xin, Sci. Rep. 11, 5386 (2021): ``image``, ``circularMask``,
``gaussianMask``; ``denoised`` where the recipe has it.
"""

from pathlib import Path

import numpy as np

from rhotem.library.dataset.layouts.base import Layout, grey
from rhotem.library.dataset.store import Dataset


def write(dataset: Dataset, split: str | None, folder: Path) -> int:
    """8-bit pictures."""
    from PIL import Image

    number = 0
    for arrays, _ in dataset.pictures(split):
        shown = {"image": grey(arrays["image"])}
        if "columns" in arrays:
            shown["gaussianMask"] = arrays["columns"]
            shown["circularMask"] = np.where(arrays["species"] > 0, 255, 0).astype(np.uint8)
        if "clean" in arrays:
            shown["denoised"] = grey(arrays["clean"])
        for name, values in shown.items():
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(values).save(folder / name / f"{number:07d}.png")
        number += 1
    return number


LAYOUT = Layout("temimagenet", "PNG pictures with circular and Gaussian masks", write)
