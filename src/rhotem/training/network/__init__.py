"""Plain networks in torch: what training optimises, and the reference that `rhotem.learned` is tested against."""
