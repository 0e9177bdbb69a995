"""A plan in Python: one run, a second structure by the same plan, and the images as arrays."""

import rhotem

plan = rhotem.Plan(
    specimen={"structure": "LiF", "zone": (1, 1, 0), "thickness_nm": 1.0},
    motion={"phonons": 0},
    density={"source": "free-atoms"},
    microscope={"detectors": ["ABF=11-22", "HAADF=60-100"]},
)
result = rhotem.run(plan, "LiF-images", rhotem.Voice(tell=print))
print(result.images["HAADF"].shape, "pixels of", result.images.sampling, "Å")

for name in ("NaF", "Si"):  # the same for other crystals, nothing written
    images = rhotem.run(plan.changed(structure=name)).images
    print(f"{name}: brightest column of HAADF {images['HAADF'].max():.4f} of the beam")

plan.save("LiF.yaml")  # `rhotem image LiF.yaml` does the same
