"""The gated readout: every atom talks to the grid points near it, Δn(r) = Σ_i w_i(r) s_i(r), weight times strength."""

from rhotem.learned.architectures import Architecture

ARCHITECTURE = Architecture(
    name="gated",
    settings="rhotem.training.gated.settings:GatedSettings",
    predict="rhotem.training.gated.predict:GatedReadout",
    network="rhotem.training.gated.network:Gated",
    needs=("torch",),
)
