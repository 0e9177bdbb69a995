"""Where a training runs."""

import torch

from rhotem.core import InputError


def pick_device(name: str) -> torch.device:
    """The device called ``name``; "auto": CUDA where there is one.

    Raises
    ------
    InputError
        If it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name}: unknown; give auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name}: torch finds no CUDA device; give cpu")
    return device
