"""Pictures to a film file: MP4 by ffmpeg where that is installed, GIF by Pillow."""

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.output import output_file

Picture = npt.NDArray[np.uint8]

#: Colours of a GIF.
COLOURS = 128


def usual_format() -> Literal["mp4", "gif"]:
    """Ending of films: mp4 where imageio-ffmpeg is installed, else gif."""
    return "mp4" if importlib.util.find_spec("imageio_ffmpeg") else "gif"


def check_format(form: str, fps: float) -> None:
    """Refuse what cannot be written, before anything is computed.

    Raises
    ------
    InputError
        If the format is not known or the rate not positive.
    MissingDependencyError
        If MP4 is asked for without ffmpeg.
    """
    if form not in ("mp4", "gif"):
        raise InputError(f"--format {form}: choose mp4 or gif")
    if not 0.1 <= fps <= 60:
        raise InputError(f"--fps {fps:g}: expected between 0.1 and 60 pictures in a second")
    if form == "mp4" and usual_format() != "mp4":
        raise MissingDependencyError(
            "--format mp4: imageio-ffmpeg is not installed; pip install 'rhotem[film]', or --format gif"
        )


def write_movie(pictures: Iterable[Picture], path: Path, fps: float) -> None:
    """Write pictures (height, width, 3) of one size; the ending says the format. Complete or not there."""
    with output_file(path) as target:
        if path.suffix == ".gif":
            _gif(pictures, target, fps)
        else:
            _mp4(pictures, target, fps)


def _mp4(pictures: Iterable[Picture], path: Path, fps: float) -> None:
    from imageio_ffmpeg import write_frames

    writer = None
    for picture in _even(pictures):
        if writer is None:
            height, width = picture.shape[:2]
            # few pictures a second: players want more
            options = ["-crf", "18", "-preset", "medium", "-r", f"{max(fps, 10.0):g}"]
            writer = write_frames(
                str(path), (width, height), fps=fps, codec="libx264", macro_block_size=2, output_params=options
            )
            writer.send(None)
        writer.send(np.ascontiguousarray(picture))
    if writer is not None:
        writer.close()


def _gif(pictures: Iterable[Picture], path: Path, fps: float) -> None:
    from PIL import Image

    frames = [Image.fromarray(picture).quantize(COLOURS, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1e3 / fps), loop=0, optimize=False)


def _even(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Pictures with even sides, which the codec wants."""
    for picture in pictures:
        height, width = picture.shape[:2]
        yield np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
