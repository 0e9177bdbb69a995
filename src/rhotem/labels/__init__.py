"""DFT labels: GPAW runs in quantity, one reader, shards, splits and samplers. The only room that imports GPAW."""
