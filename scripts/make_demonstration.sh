#!/bin/sh
# The entries of packages/rhotem-data that `rhotem view` shows without a folder: 7 MB, some three CPU minutes.
set -e
OUT=${1:-packages/rhotem-data/src/rhotem_data/entries}
PYTHON=${PYTHON:-.venv/bin/python}
kept="--edges= --patterns 25 --half --no-error-bar --phonons 4 --quiet"
rings="--detector HAADF=68-150 --detector ABF=9-17 --detector DPC=5-17"
for source in model free-atoms; do
    $PYTHON -m rhotem response SrTiO3 --zone 0,0,1 --convergence 17 --smallest-convergence 14 --source $source \
        --thicknesses 2,5 --foci -1,4 --largest C12=2nm --largest C21=10nm $kept $rings -o "$OUT/SrTiO3-$source"
done
$PYTHON -m rhotem response LiCoO2 --zone 1,0,0 --convergence 17 --smallest-convergence 15 --source model \
    --thicknesses 3 --foci -1,3 --largest C12=1nm $kept $rings -o "$OUT/LiCoO2-model"
