"""Trajectories of molecular dynamics: read, and what they say of ions that move."""

from rhotem.battery.trajectories.model import Trajectory
from rhotem.battery.trajectories.read import read_trajectory

__all__ = ["Trajectory", "read_trajectory"]
