"""Films: every frame of a trajectory to a density, a potential and images."""

from rhotem.battery.film.make import Film, Wanted, make_film

__all__ = ["Film", "Wanted", "make_film"]
