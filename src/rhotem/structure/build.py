"""Chemistry: states of charge, substitution, vacancies, antisites, strain, displacements.

Each is a file of `rhotem.structure.edits`, which lists them for commands and recipes.
"""

from rhotem.structure.edits.antisite import antisite
from rhotem.structure.edits.deintercalate import deintercalate
from rhotem.structure.edits.rattle import displaced
from rhotem.structure.edits.repeat import repeated
from rhotem.structure.edits.strain import strained
from rhotem.structure.edits.substitute import replace_element, substitute
from rhotem.structure.edits.vacancy import vacancy

__all__ = ["antisite", "deintercalate", "displaced", "repeated", "replace_element", "strained", "substitute", "vacancy"]
