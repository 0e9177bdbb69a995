"""Δn(r) = Σ_i Σ_nlm c_i,nlm r^l G_n(r) Y_lm around every atom: linear in c, so that integrals are analytic."""

from rhotem.learned.architectures import Architecture

ARCHITECTURE = Architecture(
    name="spherical",
    settings="rhotem.learned.settings:SphericalSettings",
    predict="rhotem.learned.readouts.spherical.predict:SphericalReadout",
    network="rhotem.training.network.readouts.spherical:Spherical",
    linear=True,
    single=True,
    planes=True,
    tiles=True,
    members=True,
)
