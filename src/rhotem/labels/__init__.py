"""DFT labels: GPAW runs in quantity, the label store, splits and samplers. The only room that imports GPAW."""
