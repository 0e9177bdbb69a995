"""The gated readout: every atom talks to the grid points near it, Δn(r) = Σ_i w_i(r) s_i(r), weight times strength."""

from rhotem.learned.architectures import Architecture

ARCHITECTURE = Architecture(
    name="gated",
    settings="rhotem.learned.readouts.gated.settings:GatedSettings",
    predict="rhotem.learned.readouts.gated.predict:GatedReadout",
    network="rhotem.training.network.readouts.gated:Gated",
    single=True,
    members=True,
)
