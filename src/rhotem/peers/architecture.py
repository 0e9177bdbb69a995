"""Published networks as architectures that are trained here, on the deformation density."""

from rhotem.learned.architectures import Architecture

ARCHITECTURE = Architecture(
    name="peer",
    settings="rhotem.peers.networks:read_settings",
    predict="rhotem.peers.predict:PeerGridReadout",
    network="rhotem.peers.halves:PeerReadout",
    spin=False,
    needs=("torch",),
)
