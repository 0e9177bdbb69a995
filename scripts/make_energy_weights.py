"""Weights of SevenNet-0 for `rhotem.learned.energy`, from the PyPI package ``sevenn`` (MIT licence, Yutack Park).

    python scripts/make_energy_weights.py [FILE]

Five interaction layers and the readout in 32 bits. The state that ``sevenn`` has built is taken, not the one of the
checkpoint file: signs of three couplings differ there from those of today's e3nn, and the weights with them
(`rhotem.training.network.encoders.sevennet.check_couplings` refuses it). The two linear maps of the readout, with
nothing between them, become one vector.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import torch
from sevenn.util import model_from_checkpoint, pretrained_name_to_path

from rhotem.learned.encoders.interaction import CHANNELS
from rhotem.learned.weights import save_arrays, write_json
from rhotem.training.network.encoders.sevennet import convert

TARGET = Path(__file__).parents[1] / "src/rhotem/learned/energy/sevennet-0.safetensors"


def main(target: Path) -> None:
    """Write the weights and what they are."""
    model, config = model_from_checkpoint(pretrained_name_to_path("7net-0"))
    state = model.state_dict()
    body = convert(state, config["_type_map"], 4)
    arrays = {name: value.numpy() for name, value in body.state_dict().items()}
    last, channels = {}, CHANNELS["sevennet-0"]
    first = state["4_self_interaction_1.linear.weight"].split([k * k for k in channels])
    for l, (piece, k) in enumerate(zip(first, channels, strict=True)):
        last[f"first.{l}"] = piece.view(k, k)
    last["connect.0"] = state["4_self_connection_intro.linear.weight"].view(128, 128)
    last["second.0"] = state["4_self_interaction_2.linear.weight"].view(sum(channels), 128)
    last["denominator"] = state["4_convolution.denominator"]
    for n in range(3):
        last[f"radial.{n}"] = state[f"4_convolution.weight_nn.layer{n}.weight"]
    arrays |= {f"layers.4.{name}": value.numpy() for name, value in last.items()}
    hidden = state["reduce_input_to_hidden.linear.weight"].double().view(128, 64) / 128**0.5
    energy = state["reduce_hidden_to_energy.linear.weight"].double().view(64, 1) / 64**0.5
    arrays["readout"] = (hidden @ energy)[:, 0].to(torch.float32).numpy()
    for name in ("shift", "scale"):
        arrays[name] = state[f"rescale_atomic_energy.{name}"].detach().numpy()
    save_arrays(target, arrays)
    info = {
        "name": "sevennet-0",
        "from": f"sevenn {version('sevenn')}, checkpoint SevenNet-0 of 11 July 2024",
        "licence": "MIT, copyright 2024 Yutack Park",
        "reference": "Y. Park, J. Kim, S. Hwang, S. Han, J. Chem. Theory Comput. 20, 4857 (2024)",
        "units": {"shift": "eV", "scale": "eV"},
    }
    write_json(target.with_suffix(".json"), info)
    print(f"{target}: {sum(a.size for a in arrays.values())} numbers")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
