"""Training of the learned density: data, loss, trainer, error bars. Together with `rhotem.peers` what needs torch."""
