"""Members of shards: a label as few bytes, whole or as few voxels.

LZMA over a JSON header (structure, forces, meta) and blocks of numbers, bytes of equal significance together.

*Whole* grids are rounded to multiples of a step, a small share of the mean |value|, and kept as the differences of
neighbours along all three axes (the Lorenzo predictor: Ibarria et al., Computer Graphics Forum 22, 343 (2003)), of
which most are small integers.

*Few* voxels are some 300 for every atom (`rhotem.labels.voxels.choose_few`), with Δn and n↑ − n↓, treated near nuclei,
in float16. Weights follow from Δn, and the indices of a third from a rule, so that neither is kept. The Fourier
coefficients that the potential needs are kept beside them (`rhotem.labels.waves`).
"""

import hashlib
import json
import lzma
import struct
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.labels.label import Label
from rhotem.labels.npz import SCHEMA
from rhotem.labels.voxels import LEAST, MOST, PER_ATOM, Few, Selection, choose_few, spread
from rhotem.labels.waves import Waves, kept_indices
from rhotem.structure.model import Structure

#: Step of rounding as a share of the mean |value|, of labels that are tested against and of those that are only trained
#: on. Rounding is then 0.25 and 1 % of Σ|Δn|, without a sign, at every voxel alike: far below the noise of the grid.
FINE, COARSE = 0.01, 0.04
#: Mean |value| in e/Å³ that steps are taken from at least: a molecule in its box has 0.001, a crystal 0.005 to 0.05.
LEAST_MEAN = 2e-3
#: Fourier coefficients are kept in multiples of this share of the largest: part of the format, as shards never change.
WAVE_STEP = 1.0 / 32767.0
#: Schema of members of few voxels; those of whole grids have that of npz files.
FEW_SCHEMA = 2
_FIELDS = ("deformation", "magnetization")


def encode(label: Label, share: float) -> bytes:
    """A whole label as bytes, its fields rounded to ``share`` of their mean |value| or of `LEAST_MEAN`."""
    header: dict[str, Any] = {**_header(label), "fields": []}
    blocks = []
    for name in _FIELDS:
        field = getattr(label, name)
        if field is None:
            continue
        values = field.astype(float)
        step = share * max(float(np.abs(values).mean()), LEAST_MEAN)
        whole = np.rint(values / step).astype(np.int64)
        for axis in range(3):
            whole = np.diff(whole, axis=axis, prepend=0)
        folded = _folded(whole)
        planes = max(1, (int(folded.max()).bit_length() + 7) // 8)
        blocks.append(_planes(folded, planes))
        header["fields"].append([name, step, planes])
    return _packed(header, blocks)


def encode_few(label: Label, name: str, count: int | None = None) -> bytes:
    """A whole label as bytes of ``count`` voxels (300 for every atom), decided by ``name``; some 10 kB."""
    if label.voxels is not None:
        raise ValueError("only chosen voxels of it are known")
    if count is None:
        count = int(np.clip(PER_ATOM * len(label.structure), LEAST, MOST))
    values = label.treated.astype(np.float16)
    few = choose_few(values, name, count)
    indices = kept_indices(label.grid)
    waves = label.coefficients(indices)
    parts = np.concatenate([waves.real, waves.imag])
    scale = float(np.abs(parts).max()) or 1.0
    header = {
        **_header(label),
        "few": {
            "name": name,
            "even": few.even,
            "count": len(few.index),
            "share": few.share,
            "waves": len(indices),
            "scale": scale,
            "magnetization": label.magnetization is not None,
            "absolute_mean": label.absolute_mean,
        },
        "meta": {**label.meta, "schema": FEW_SCHEMA},
        "sha256": hashlib.sha256(np.ascontiguousarray(label.deformation, dtype="<f2").tobytes()).hexdigest(),
    }
    blocks = [
        _planes(np.diff(few.index[few.even :], prepend=0).astype("<u4"), 4),
        _halves(values.ravel()[few.index]),
        _planes(_folded(np.rint(parts / (scale * WAVE_STEP)).astype(np.int64)), 2),
    ]
    if label.magnetization is not None:
        blocks.append(_halves(label.treated_magnetization.ravel()[few.index].astype(np.float16)))
    return _packed(header, blocks)


def decode(content: bytes) -> Label:
    """Inverse of `encode` and `encode_few`; fields come as float32.

    Raises
    ------
    ValueError, KeyError, lzma.LZMAError, struct.error, EOFError
        If the bytes are no label, or one of a newer schema.
    """
    raw = lzma.decompress(content)
    start = 4 + struct.unpack("<I", raw[:4])[0]
    header = json.loads(raw[4:start])
    if header["meta"].get("schema", 1) > FEW_SCHEMA:
        raise ValueError(f"label schema {header['meta']['schema']}, this RhoTEM reads up to {FEW_SCHEMA}")
    atoms = ase.Atoms(numbers=header["numbers"], positions=header["positions"], cell=header["cell"], pbc=True)
    kept = _few(header, raw, start, atoms) if "few" in header else _whole(header, raw, start)
    if kept["deformation"] is None:
        raise ValueError("no deformation density in it")
    return Label(
        structure=Structure(atoms, charge=header["charge"]),
        forces=np.array(header["forces"], dtype=np.float32),
        magmoms=np.array(header["magmoms"], dtype=np.float32),
        meta={**header["meta"], "schema": SCHEMA},
        **kept,
    )


def _whole(header: dict[str, Any], raw: bytes, start: int) -> dict[str, Any]:
    """Fields on the whole grid."""
    shape = tuple(header["shape"])
    size = int(np.prod(shape))
    fields: dict[str, npt.NDArray | None] = dict.fromkeys(_FIELDS)
    for name, step, planes in header["fields"]:
        whole = _unfolded(_joined(raw, start, size, planes)).reshape(shape)
        start += planes * size
        for axis in range(3):
            whole = np.cumsum(whole, axis=axis)
        fields[name] = (whole * step).astype(np.float32)
    return fields


def _few(header: dict[str, Any], raw: bytes, start: int, atoms: ase.Atoms) -> dict[str, Any]:
    """Fields at chosen voxels, in the order of the grid, and Fourier coefficients."""
    from rhotem.core import PeriodicGrid

    about, shape = header["few"], tuple(header["shape"])
    count, even, size = about["count"], about["even"], int(np.prod(shape))
    others = np.cumsum(_joined(raw, start, count - even, 4).astype(np.int64))
    start += 4 * (count - even)
    index = np.concatenate([spread(shape, even, about["name"]), others]).astype(np.int32)
    order = np.argsort(index)
    values = _joined(raw, start, count, 2).astype("<u2").view("<f2")
    start += 2 * count
    parts = _unfolded(_joined(raw, start, 2 * about["waves"], 2)) * about["scale"] * WAVE_STEP
    start += 4 * about["waves"]
    spin = None
    if about["magnetization"]:
        spin = _joined(raw, start, count, 2).astype("<u2").view("<f2")[order].astype(np.float32)
    indices = kept_indices(PeriodicGrid(atoms.cell.array, shape))
    if len(indices) != about["waves"]:
        raise ValueError(f"{about['waves']} Fourier coefficients where its cell has {len(indices)}")
    weight = Few(even, index, about["share"]).weight(values, size)
    return {
        "deformation": values[order].astype(np.float32),
        "magnetization": spin,
        "voxels": Selection(index[order], weight[order], about["absolute_mean"]),
        "full_shape": shape,
        "waves": Waves(indices, parts[: len(indices)] + 1j * parts[len(indices) :]),
    }


def _header(label: Label) -> dict[str, Any]:
    s = label.structure
    return {
        "numbers": s.numbers.tolist(),
        "positions": s.positions.tolist(),
        "cell": s.cell.tolist(),
        "charge": s.charge,
        "forces": np.round(label.forces.astype(float), 5).tolist(),
        "magmoms": np.round(label.magmoms.astype(float), 5).tolist(),
        "meta": {**label.meta, "schema": SCHEMA},
        "shape": label.grid.shape,
    }


def _packed(header: dict[str, Any], blocks: list[bytes]) -> bytes:
    text = json.dumps(header).encode()
    return lzma.compress(struct.pack("<I", len(text)) + text + b"".join(blocks), preset=6)


def _folded(whole: npt.NDArray[np.int64]) -> npt.NDArray:
    """Unsigned numbers, the sign in the lowest bit."""
    return ((whole << 1) ^ (whole >> 63)).astype("<u4")


def _unfolded(folded: npt.NDArray) -> npt.NDArray[np.int64]:
    whole = folded.astype(np.int64)
    return (whole >> 1) ^ -(whole & 1)


def _planes(numbers: npt.NDArray, planes: int) -> bytes:
    """The lowest ``planes`` bytes of unsigned numbers, all first bytes first."""
    little = np.ascontiguousarray(numbers.ravel(), dtype="<u4")
    return little.view(np.uint8).reshape(-1, 4).T[:planes].tobytes()


def _halves(values: npt.NDArray[np.float16]) -> bytes:
    return _planes(np.ascontiguousarray(values, dtype="<f2").view("<u2"), 2)


def _joined(raw: bytes, start: int, size: int, planes: int) -> npt.NDArray:
    """Inverse of `_planes`: ``size`` unsigned numbers of 32 bits."""
    numbers = np.zeros((size, 4), dtype=np.uint8)
    numbers[:, :planes] = np.frombuffer(raw, np.uint8, planes * size, start).reshape(planes, size).T
    return numbers.view("<u4").ravel()
