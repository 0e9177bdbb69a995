"""Training of a neuroevolution potential (NEP) of one material on labelled frames, by the package ``torchnep``.

Z. Fan et al., Phys. Rev. B 104, 104309 (2021), in the fourth version of the format, which GPUMD, LAMMPS and
``nep-adapters`` run; ``torchnep`` trains it by gradients, not by evolution (Y.-C. Wu et al., arXiv:2606.19557 (2026)).
"""

import io
import re
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from rhotem.core import ConvergenceError, Progress, silent
from rhotem.core.packages import require

#: Which potential, and how it is trained. Cutoffs (Å) are of pairs and of angles; a few thousand parameters. Nuclei
#: that come close repel (J. F. Ziegler, J. P. Biersack, U. Littmark, 1985) inside of 0.7 of the sum of their radii.
#: The first part of the training looks at forces, the second at energies as much; in both the rate falls. With less
#: weight on energies, forces are fitted at the cost of heights of barriers.
SETTINGS = """\
version 4
zbl 2
use_typewise_cutoff_zbl 0.7
cutoff 6 4
n_max 6 4
basis_size 8 6
l_max 4 2 0
neuron 20
weight_decay 0
batch 4
epoch {epochs}
lr 0.01
lr_scheduler step
scheduler_patience 1
scheduler_factor {fall:.6f}
stop_lr 1e-6
lambda_e 0.05
lambda_f 1
lambda_v 0.02
stage2 1
start_stage2 {second}
stage2_lr 1e-3
stage2_scheduler_patience 1
stage2_scheduler_factor {end:.6f}
stage2_lambda_e 100
stage2_lambda_f 0.3
stage2_lambda_v 0.1
"""
#: Share of the epochs that is the first part.
FIRST = 0.5
#: What is left of the rate at the end of each part.
LEFT = (0.1, 0.05)
#: Epochs between states that a killed training goes on from.
KEPT = 10
#: Share of the frames that says which epoch was best.
WATCHED = 0.06


def settings_text(elements: Sequence[str], epochs: int) -> str:
    """What ``torchnep`` reads: the potential's shape and its training."""
    second = max(2, round(FIRST * epochs))
    return f"type {len(elements)} {' '.join(elements)}\n" + SETTINGS.format(
        epochs=epochs,
        second=second,
        fall=LEFT[0] ** (1.0 / second),
        end=LEFT[1] ** (1.0 / max(1, epochs - second)),
    )


def train_nep(
    frames: Path,
    elements: Sequence[str],
    folder: Path,
    seed: int,
    epochs: int,
    progress: Progress = silent,
) -> Path:
    """Train a potential, or go on with a training that was killed.

    Parameters
    ----------
    frames : Path
        Extended xyz with energy (eV), forces (eV/Å) and stress (eV/Å³, as ASE has it).
    elements : sequence of str
        All that the frames have.
    folder : Path
        Of the state of the training.
    seed : int
        Of starting weights, order of frames, and the frames that are watched.
    epochs : int
        Passes over the frames.
    progress : Progress

    Returns
    -------
    Path
        The potential, in GPUMD's format.

    Raises
    ------
    MissingDependencyError
        If ``torchnep`` is not installed.
    ConvergenceError
        If the training ends without a potential.
    """
    check_trainer()
    from torchnep import train_nep as train

    folder.mkdir(parents=True, exist_ok=True)
    control = folder / "nep.in"
    control.write_text(settings_text(elements, epochs))
    _drop_torn(folder / "checkpoint.pt")
    with redirect_stdout(_Listener(progress, epochs)) as said:
        train(
            str(control),
            str(frames),
            str(folder),
            device="cpu",
            use_compile=False,
            run_seed=seed + 1,
            valid_ratio=WATCHED,
            checkpoint_interval=KEPT,
            prediction_interval=0,
        )
    result = folder / "nep_best.txt"
    if not result.exists():
        raise ConvergenceError(f"distil: training made no potential ({said.last}); look into {folder / 'output.log'}")
    return result


def check_trainer() -> None:
    """Raise MissingDependencyError unless the trainer is installed."""
    require("torch", "torchnep", extra="nep", what="distil: training")


def _drop_torn(state: Path) -> None:
    """Delete a state that a killed training left half-written: it starts again."""
    if state.exists() and not zipfile.is_zipfile(state):
        state.unlink()


class _Listener(io.TextIOBase):
    """Standard output of the trainer: its epochs become progress, its last line is kept for errors."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        self.progress, self.epochs, self.last = progress, epochs, ""

    def write(self, text: str) -> int:
        if text.strip():
            self.last = text.strip()
        epoch = re.search(r"Epoch +(\d+) ", text)
        if epoch:
            self.progress("training", int(epoch[1]), self.epochs)
        return len(text)
