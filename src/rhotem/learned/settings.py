"""What a model is made of: the settings stored with its weights."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rhotem.core import RhoTEMError
from rhotem.learned.architectures import Architecture, architecture, names

#: Elements that embeddings have room for.
ELEMENTS = 119


class NequipSettings(BaseModel):
    """Sizes of the encoder.

    ``extra`` is the number of known scalars per atom (pretrained features); 0 for training from scratch.
    ``extra_tensors``: channels of known tensors of l = 1, 2, …, which follow the scalars.
    """

    model_config = ConfigDict(extra="forbid")
    layers: int = Field(2, ge=1, le=4)
    channels: int = Field(32, ge=1)
    scalars: int = Field(96, ge=8)
    embedding: int = Field(16, ge=1)
    lmax: int = Field(4, ge=0, le=6)
    #: Largest angular momentum of a neighbour's features that is sent on; the harmonics of the edge go to lmax.
    lmax_sent: int = Field(2, ge=0, le=6)
    cutoff: float = Field(5.0, gt=0)
    bessel: int = Field(8, ge=1)
    radial_width: int = Field(48, ge=1)
    mean_neighbours: float = Field(40.0, gt=0)
    extra: int = Field(0, ge=0)
    extra_tensors: tuple[int, ...] = ()


class SevenNetSettings(BaseModel):
    """Which SevenNet, how many of its interaction layers, and whether tensors of the last or of all are taken."""

    model_config = ConfigDict(extra="forbid")
    name: Literal["sevennet-0", "sevennet-l3i5"] = "sevennet-l3i5"
    layers: int = Field(4, ge=1, le=4)
    tensors: Literal["last", "all"] = "last"


class BlockSettings(BaseModel):
    """See `rhotem.learned.radial.Block`."""

    model_config = ConfigDict(extra="forbid")
    narrowest: float = Field(gt=0)
    widest: float = Field(gt=0)
    functions: int = Field(ge=1)
    lmax: int = Field(ge=0, le=6)
    cutoff: float = Field(gt=0)


class SphericalSettings(BaseModel):
    """Radial functions and sizes. Two blocks: sharp and near with all l, wide and far with few."""

    model_config = ConfigDict(extra="forbid")
    near: BlockSettings = BlockSettings(narrowest=0.07, widest=0.8, functions=9, lmax=4, cutoff=2.2)
    far: BlockSettings = BlockSettings(narrowest=0.6, widest=1.5, functions=4, lmax=3, cutoff=4.0)
    width: int = Field(128, ge=1)


class ModelSettings(BaseModel):
    """What a model is made of; stored with its weights.

    Settings of a readout other than "spherical" stand in a section of its name.

    Parameters
    ----------
    encoder : "nequip" or "sevennet"
        From scratch, or a few layers of that on top of frozen pretrained ones.
    readout : str
        A registered architecture (`rhotem.learned.architectures`).
    peer : settings of a published network, or None
        Instead of an encoder and a readout of ours.
    spin : bool
        Whether it gives the magnetisation, too.
    spin_elements : list of int
        Atomic numbers that had a moment in training; set by training.
    members : int
        Readouts on the one encoder, trained on different labels: their mean is the density, their spread its doubt.
    elements : list of int
        Atomic numbers it was trained on; set by training.
    """

    model_config = ConfigDict(extra="allow")
    encoder: Literal["nequip", "sevennet"] = "nequip"
    readout: str = "spherical"
    nequip: NequipSettings = NequipSettings()
    sevennet: SevenNetSettings = SevenNetSettings()
    #: also the functions of a spin head, whatever draws n
    spherical: SphericalSettings = SphericalSettings()
    peer: Any = None
    spin: bool = False
    spin_elements: list[int] = Field(default_factory=list)
    members: int = Field(1, ge=1, le=64)
    elements: list[int] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _only_deformation(cls, content: Any) -> Any:
        """Headers before 0.2 say what is drawn; the whole valence density no longer is."""
        if not isinstance(content, dict) or "target" not in content:
            return content
        if content["target"] != "deformation":
            raise ValueError('target: only the deformation density is drawn; weights of target = "density" are of 0.1')
        return {name: value for name, value in content.items() if name != "target"}

    @model_validator(mode="after")
    def _fits_its_architecture(self) -> "ModelSettings":
        if self.readout not in names():
            raise ValueError(f"readout: {self.readout!r} is not registered; choose one of {', '.join(names())}")
        own = self.architecture
        if self.members > 1 and not own.members:
            raise ValueError(f"members: {own.name} has one only, its mean is no network of its kind; set members = 1")
        if self.spin and not own.spin:
            raise ValueError(f"spin: {own.name} has none; leave spin out")
        sections = self.__pydantic_extra__ or {}
        for name in sections:
            if name not in names():
                raise ValueError(f"{name}: unknown setting, and no registered readout")
        if own.name not in type(self).model_fields:
            sections[own.name] = _checked(own, sections.get(own.name, {}))
        self.__pydantic_extra__ = sections
        if self.peer is not None:
            self.peer = _checked(own, self.peer)
        return self

    @property
    def architecture(self) -> Architecture:
        """What the readout is and can."""
        return architecture("peer" if self.peer is not None else self.readout)

    def section(self, name: str) -> Any:
        """Settings of the readout called ``name``."""
        return getattr(self, name)


def _checked(kind: Architecture, section: Any) -> Any:
    """A section with its types; as it is where what it needs is not installed."""
    if isinstance(section, BaseModel):
        return section
    try:
        return kind.read_settings(section)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([kind.name, *map(str, first["loc"])])
        raise ValueError(f"{where}: {first['msg']}") from error
    except RhoTEMError:
        return section
