"""The U-Net of `rhotem.learned.pictures.unet` in PyTorch."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from rhotem.learned.pictures.unet import OUTPUTS


class Block(nn.Module):
    """Two convolutions with batch normalisation and ReLU."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(n, out, 3, padding=1, bias=False) for n in (inside, out))
        self.norms = nn.ModuleList(nn.BatchNorm2d(out) for _ in range(2))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values behind both."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            values = functional.relu(norm(convolution(values)), inplace=True)
        return values

    def folded(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Kernel and bias of both convolutions, with their normalisation in them."""
        made = []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            state = norm.state_dict()
            scale = state["weight"] / torch.sqrt(state["running_var"] + norm.eps)
            kernel = convolution.state_dict()["weight"] * scale[:, None, None, None]
            made.append((kernel, state["bias"] - state["running_mean"] * scale))
        return made


class UNet(nn.Module):
    """Channels ``widths`` from the finest level to the coarsest; ``inputs`` pictures, ``outputs`` maps, squares of
    ``patch`` pixels as channels.
    """

    def __init__(self, widths: tuple[int, ...], inputs: int = 1, outputs: int = len(OUTPUTS), patch: int = 1) -> None:
        super().__init__()
        self.widths, self.patch = widths, patch
        first = (inputs * patch**2, *widths)
        self.down = nn.ModuleList(Block(n, m) for n, m in zip(first, widths, strict=False))
        self.up = nn.ModuleList(Block(n + m, n) for n, m in itertools.pairwise(widths))
        self.last = nn.Conv2d(widths[0], outputs * patch**2, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits (n, outputs, rows, columns)."""
        kept = []
        values = functional.pixel_unshuffle(values, self.patch) if self.patch > 1 else values
        for level, block in enumerate(self.down):
            values = block(functional.max_pool2d(values, 2) if level else values)
            kept.append(values)
        for level in range(len(self.up) - 1, -1, -1):
            grown = functional.interpolate(values, scale_factor=2, mode="nearest")
            values = self.up[level](torch.cat([kept[level], grown], dim=1))
        result: torch.Tensor = self.last(values)
        return functional.pixel_shuffle(result, self.patch) if self.patch > 1 else result


def plain(network: UNet) -> dict[str, npt.NDArray[Any]]:
    """Weights as `rhotem.learned.pictures.unet.forward` takes them: normalisations are folded into convolutions."""
    result: dict[str, npt.NDArray[Any]] = {}
    for way, blocks in (("down", network.down), ("up", network.up)):
        for level, block in enumerate(blocks):
            for part, (kernel, bias) in enumerate(block.folded()):  # type: ignore[operator]  # blocks are `Block`
                result[f"{way}{level}.{part}.weight"] = _numpy(kernel)
                result[f"{way}{level}.{part}.bias"] = _numpy(bias)
    for name, value in network.last.state_dict().items():
        result[f"last.{name}"] = _numpy(value)
    return result


def _numpy(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    return tensor.detach().cpu().numpy().astype(np.float32)
