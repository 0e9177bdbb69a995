#!/bin/sh
# The entries of packages/rhotem-data that `rhotem view` shows without a folder: about five CPU minutes.
set -e
OUT=${1:-packages/rhotem-data/src/rhotem_data/entries}
PYTHON=${PYTHON:-.venv/bin/python}
lens="--foci -1,4 --patterns 25 --half --no-error-bar --quiet"
rings="--detector HAADF=68-150 --detector ABF=9-18 --detector DPC=5-18"
for source in model free-atoms; do
    $PYTHON -m rhotem response LiCoO2 --zone 1,0,0 --convergence 18 --smallest-convergence 16 --source $source --phonons 4 \
        --thicknesses 3 --largest C12=1nm --edges "" $lens $rings -o "$OUT/LiCoO2-$source"
done
$PYTHON -m rhotem response SrTiO3 --zone 0,0,1 --convergence 18 --smallest-convergence 14 --source model --phonons 4 \
    --thicknesses 2,5,10 --largest C12=2nm --largest C21=20nm --largest C30=10um --edges 30,40,50,100 $lens $rings -o "$OUT/SrTiO3-model"
