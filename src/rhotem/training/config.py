"""What `rhotem train` reads: one TOML file."""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rhotem.core import InputError
from rhotem.learned.settings import ModelSettings


class DataSettings(BaseModel):
    """Which labels, and which of them are only tested on.

    Parameters
    ----------
    labels : list of folders
    unseen : list of str
        Never trained on: prototypes, or chemistries of `rhotem.labels.splits` ("olivine", "spinel", "SEI", "Na", …).
    split : str
        A file of `rhotem labels splits`: what is trained on (``train``), watched (``validation``), tested on
        (``test``) and tested as a copy of what is trained on (``rattled``). Labels it does not name are not used.
    test_parents : list of str
        "family formula" of parents held out in family; empty: drawn by the seed.
    test_fraction : float
        Share of the parents drawn, from prototypes with at least two parents; both only without ``split``.
    points : int
        Voxels drawn from a label every time it is trained on.
    balance : float
        A label is drawn in proportion to n^(−balance), n the training labels that have its rarest element; 0: all
        alike.
    """

    model_config = ConfigDict(extra="forbid")
    labels: list[str] = Field(min_length=1)
    unseen: list[str] = []
    split: str = ""
    test_parents: list[str] = []
    test_fraction: float = Field(0.1, ge=0, lt=1)
    points: int = Field(800, ge=10)
    balance: float = Field(0.0, ge=0, le=1)


class TrainSettings(BaseModel):
    """How to train.

    Parameters
    ----------
    potential_weight : float
        Weight of the error of the potential (|g| < 2/Å in three planes) beside the voxel error.
    feature_dropout : float
        Share of the pretrained scalars of every atom that a step forgets.
    encoder_rate : float
        Learning rate of the pretrained layers over that of the others; 0: they stay as they are, and what they give
        is calculated once.
    member_share : float
        Share of the parents that a member of the readout is trained on, where there are several.
    schedule : "cosine" or "constant"
        The learning rate after the warm-up: half a cosine to zero at the last step, or as it is.
    only : "all" or "spin"
        spin: the spin head alone is trained, on labels with a magnetisation; the density stays bit for bit what the
        model of ``start`` gives (docs/spin.md).
    spin_weight : float
        Weight of the error of the magnetisation beside the others, where ``model.spin`` is true.
    start : str
        A model to start from: its settings count, not those of ``model``, but for ``members``, of which there may be
        more; the new ones start as copies of the first. A TOML file: what that run makes, which `rhotem train` trains
        before where it is not there.
    encoder : str
        A model whose encoder is taken to begin with, under a readout that starts from nothing: shipped weights, a run
        folder or a file. Its settings of the encoder count, not those of ``model``.
    ema : float
        Decay per step of the averaged weights, which are the result.
    patience : int
        Evaluations without improvement after which training stops; 0: never.
    half : bool
        Write the result in numbers of 16 bits.
    """

    model_config = ConfigDict(extra="forbid")
    steps: int = Field(10000, ge=1)
    structures_per_step: int = Field(4, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    warmup: int = Field(100, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = Field(1e-5, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    potential_weight: float = Field(0.3, ge=0)
    evaluate_every: int = Field(500, ge=1)
    evaluate_points: int = Field(2000, ge=10)
    save_every: int = Field(200, ge=1)
    patience: int = Field(0, ge=0)
    feature_dropout: float = Field(0.0, ge=0, lt=1)
    encoder_rate: float = Field(0.0, ge=0, le=1)
    member_share: float = Field(0.8, gt=0, le=1)
    only: Literal["all", "spin"] = "all"
    spin_weight: float = Field(0.3, gt=0)
    start: str = ""
    encoder: str = ""
    half: bool = False
    threads: int = Field(0, ge=0)
    device: str = "auto"
    seed: int = Field(0, ge=0)


class DistilSettings(BaseModel):
    """A model to learn from, on structures without labels (`rhotem.training.distil`).

    Parameters
    ----------
    teacher : str
        Shipped weights, a run folder or a file. The student needs its radial functions, and one member or as many.
    structures : int
        Drawn from `rhotem.labels.sampler`, of the elements of the labels and of none of the compositions held out;
        those of the training labels come on top.
    max_atoms : int
        Larger cells are not drawn.
    structures_per_step : int
        Learned from in every step.
    alone : float
        Share of the steps, the first ones, without labels.
    weight : float
        Weight of the distance from the teacher beside the errors on labels.
    seed : int
        Of the structures.
    """

    model_config = ConfigDict(extra="forbid")
    teacher: str = "default"
    structures: int = Field(1500, ge=1)
    max_atoms: int = Field(28, ge=1)
    structures_per_step: int = Field(10, ge=1)
    alone: float = Field(0.6, ge=0, le=1)
    weight: float = Field(1.0, gt=0)
    seed: int = Field(0, ge=0)


class Config(BaseModel):
    """A training run; ``distil`` only where a model is learned from."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    out: str
    data: DataSettings
    train: TrainSettings = TrainSettings()
    model: ModelSettings = ModelSettings()
    distil: DistilSettings | None = None


def stages(path: str | Path) -> list[Config]:
    """The run of a TOML file behind those that it starts from, in the order in which they are trained.

    Where ``train.start`` names another TOML file, the run starts from what that one makes, and so on.

    Raises
    ------
    InputError
        As `read_config`, and if a run starts from itself.
    """
    chain: list[Config] = []
    files: list[Path] = []
    while True:
        file = Path(path).resolve()
        if file in files:
            raise InputError(f"config {path}: train.start leads back to it; start the first run from nothing")
        files.append(file)
        chain.append(config := read_config(path))
        path = config.train.start
        if Path(path).suffix != ".toml":
            break
    for later, earlier in pairwise(chain):
        later.train.start = str(Path(earlier.out) / "model.safetensors")
    return chain[::-1]


def read_config(path: str | Path) -> Config:
    """Read and check a TOML file; relative folders are relative to it.

    Raises
    ------
    InputError
        If it is not there, is not TOML, or a setting is unknown or out of range.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text())
        config = Config.model_validate(raw)
    except OSError as error:
        raise InputError(f"config {path}: cannot be read ({error.strerror}); give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"config {path}: not TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"config {path}: {where}: {first['msg']}; see docs/model.md") from error
    base = path.resolve().parent
    config.out = str(base / config.out)
    config.data.labels = [str(base / folder) for folder in config.data.labels]
    if config.data.split:
        config.data.split = str(base / config.data.split)
    if config.train.start.endswith(".toml") or (config.train.start and (base / config.train.start).exists()):
        config.train.start = str(base / config.train.start)
    if config.distil and (base / config.distil.teacher).exists():
        config.distil.teacher = str(base / config.distil.teacher)
    return config
