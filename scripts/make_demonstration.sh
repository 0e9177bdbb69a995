#!/bin/sh
# The entries of packages/rhotem-data that `rhotem view` shows without a folder.
#
#   sh scripts/make_demonstration.sh [FOLDER] [NAME...]
#
# Responses of LiCoO2, SrTiO3 and Si, and images of one lens (layered-oxide preset with its dark fields and enhanced ABF,
# 2 and 4 nm, two configurations of thermal motion) of the other ready phases. NAME: these alone. What is there stays.
set -e
OUT=${1:-packages/rhotem-data/src/rhotem_data/entries}
[ $# -gt 0 ] && shift
NAMES=" $* "
PYTHON=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

wanted() {
    if [ "$NAMES" != "  " ]; then
        case "$NAMES" in *" $1 "*) ;; *) return 1 ;; esac
    fi
    [ ! -e "$OUT/$2" ]
}

whole() { # phase, folder, options
    wanted "$1" "$2" || return 0
    name=$1 folder=$2
    shift 2
    $PYTHON -m rhotem response "$name" "$@" --edges= --patterns 25 --half --no-error-bar --phonons 4 --quiet \
        -o "$OUT/$folder"
}

for source in model free-atoms; do
    whole SrTiO3 "SrTiO3-$source" --zone 0,0,1 --convergence 17 --smallest-convergence 14 --source $source \
        --thicknesses 2,5 --foci -1,4 --largest C12=2nm --largest C21=10nm \
        --detector HAADF=68-150 --detector ABF=9-17 --detector DPC=5-17
done
whole LiCoO2 LiCoO2-model --zone 1,0,0 --convergence 18 --smallest-convergence 16 --source model \
    --thicknesses 3 --foci -1,4 --largest C12=1nm \
    --detector HAADF=68-150 --detector ABF=9-18 --detector DPC=5-18
whole Si Si-model --zone 1,1,0 --convergence 18 --smallest-convergence 16 --source model \
    --thicknesses 3 --foci -1,3 \
    --detector HAADF=68-150 --detector ABF=9-18 --detector DPC=5-18

one_lens() { # zone, phases
    zone=$1
    shift
    for name in "$@"; do
        folder="$(printf %s "$name" | tr -d '()')-one-lens"
        wanted "$name" "$folder" || continue
        $PYTHON -m rhotem response "$name" --zone "$zone" --source model --one-lens --thicknesses 2,4 --patterns 0 \
            --phonons 2 --detector HAADF=68-200 --detector ABF=11-22 --detector DPC=6-22 --detector eABF=11-22 \
            --detector LAADF=25-50 --detector MAADF=50-80 --quiet -o "$OUT/$folder"
    done
}

one_lens 1,0,0 LiNiO2 NaCoO2 NMC111 NMC622 NMC811 Li2MnO3 Li Na LiF NaF LiOH
one_lens 1,1,0 CoO NiO MnO Li2O LiMn2O4 LiNi0.5Mn1.5O4
one_lens 0,1,0 LiFePO4 FePO4
one_lens 0,0,1 graphite hBN MoS2 WS2 LiC6 TiO2 Li2CO3 Li3PO4 Li4Ti5O12
one_lens 1,0,0 Li6PS5Cl 'Na3V2(PO4)3'
one_lens 0,0,1 'NaV2(PO4)3'
one_lens 1,0,0 Li7La3Zr2O12
one_lens 0,1,0 silicalite
