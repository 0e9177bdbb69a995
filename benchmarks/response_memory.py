"""Peak memory of responses against what their plan says, each in a process of its own.

    OMP_NUM_THREADS=1 python benchmarks/response_memory.py [NAME ...]

The peak is that of the whole process (VmHWM) while the response is made, less nothing: the plan counts Python and the
libraries, too. Table in docs/response.md.
"""

import json
import subprocess
import sys

#: Phase, zone axis, thickness in nm, configurations, widest focus in Å, edges (None: the regular set), exits.
JOBS = {
    "LiCoO2-2": ("LiCoO2", (1, 0, 0), 2, 1, 0, None, 1),
    "LiCoO2-5": ("LiCoO2", (1, 0, 0), 5, 2, 30, None, 2),
    "LiCoO2-10": ("LiCoO2", (1, 0, 0), 10, 2, 0, None, 5),
    "SrTiO3-5": ("SrTiO3", (0, 0, 1), 5, 4, 0, None, 1),
    "SrTiO3-wide": ("SrTiO3", (0, 0, 1), 5, 2, 80, None, 3),
    "SrTiO3-few": ("SrTiO3", (0, 0, 1), 10, 2, 0, (), 1),
    "LiFePO4-2": ("LiFePO4", (0, 1, 0), 2, 1, 0, None, 1),
    "LiFePO4-5": ("LiFePO4", (0, 1, 0), 5, 2, 20, (), 5),
    "LiMn2O4-3": ("LiMn2O4", (1, 1, 0), 3, 2, 0, None, 2),
    "Li2MnO3-3": ("Li2MnO3", (1, 0, 0), 3, 1, 0, None, 3),
}


def job(name: str) -> None:
    """Make one response and print plan and peak in GB."""
    from rhotem.analysis import responses, run
    from rhotem.scattering.response import Range

    phase, zone, nm, configurations, focus, edges, exits = JOBS[name]
    cut = run.specimen(run.structure(phase), zone=zone, thickness=nm)
    potentials = run.potential(cut, run.density(cut, "free-atoms"), phonons=configurations if configurations > 1 else 0)
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")  # the peak counts from here
    held = responses.response(
        cut,
        potentials,
        thicknesses=[cut.thickness * (i + 1) / exits for i in range(exits)],
        range=Range(defocus=(-focus, focus)) if focus else None,
        edges=edges,
    )
    with open("/proc/self/status") as stream:
        peak = next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM"))
    plan = held.record["plan"]
    print(json.dumps({"name": name, "plan": 1e-9 * plan["memory"], "peak": 1e-9 * peak, **plan}))


def main(names: list[str]) -> None:
    """Print the table."""
    print("| job | beams | pairs (M) | channels × exits | stored (GB) | planned (GB) | peak (GB) | planned / peak |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names or JOBS:
        done = subprocess.run([sys.executable, __file__, "--job", name], capture_output=True, text=True)
        if done.returncode:
            print(f"| {name} | {done.stderr.strip().splitlines()[-1]} |", flush=True)
            continue
        r = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {name} | {r['beams']} | {1e-6 * r['pairs']:.2f} | {r['channels']} × {r['exits']} | "
            f"{1e-9 * r['stored']:.3f} | {r['plan']:.2f} | {r['peak']:.2f} | {r['plan'] / r['peak']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        job(sys.argv[2])
    else:
        main(sys.argv[1:])
