"""Published density networks, written anew: DeepDFT (SchNet, PaiNN) and ChargE3Net. They load official checkpoints."""
