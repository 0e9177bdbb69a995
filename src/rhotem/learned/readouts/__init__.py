"""What turns features of atoms into a density: one folder per architecture (`rhotem.learned.architectures`)."""
