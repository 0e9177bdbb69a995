"""Sizes of the gated readout."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Gate = Literal["full", "no-vacuum", "softmax", "sum"]


class GatedSettings(BaseModel):
    """Sizes of the gated readout.

    Parameters
    ----------
    cutoff : float
        Reach of an atom in Å.
    lmax, channels : int
        Of what an atom gives to its edges.
    narrowest, widest, functions
        Gaussians of the distance whose differences the radial networks read, σ in Å.
    width : int
        Numbers an edge is compressed to.
    gate : "full", "no-vacuum", "softmax" or "sum"
        full: as described. Ablations: without the empty channel; plain softmax of the chemical weights, which jumps
        where an atom enters; no gate at all, Σ w_geo s.
    """

    model_config = ConfigDict(extra="forbid")
    cutoff: float = Field(4.0, gt=0)
    lmax: int = Field(4, ge=1, le=4)
    channels: int = Field(24, ge=1)
    narrowest: float = Field(0.07, gt=0)
    widest: float = Field(2.0, gt=0)
    functions: int = Field(14, ge=2)
    radial_width: int = Field(48, ge=1)
    width: int = Field(48, ge=1)
    gate: Gate = "full"
