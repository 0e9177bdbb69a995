"""Maps of a structure and its density, beside images: strain, charge, bond valence, potential (`make.make_maps`)."""
