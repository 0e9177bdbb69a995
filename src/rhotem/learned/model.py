"""A trained model ready to predict: encoder, readout, spin head, from weights and the settings stored with them."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from rhotem.core import InputError
from rhotem.learned.architectures import Architecture
from rhotem.learned.encoders.nequip import NequipEncoder
from rhotem.learned.encoders.sevennet import PretrainedEncoder
from rhotem.learned.encoders.stage import Encoder
from rhotem.learned.newcomers import Newcomers
from rhotem.learned.readouts.base import Readout
from rhotem.learned.relatives import encoded, with_newcomers
from rhotem.learned.settings import ModelSettings
from rhotem.learned.spin_head import SpinHead
from rhotem.learned.weights import Arrays, Weights, find_model, in_precision, read_header, read_weights


class LearnedModel:
    """Weights that predict.

    Parameters
    ----------
    settings : ModelSettings
    arrays : mapping
        Weights by name; all in one precision, in which it computes.

    Raises
    ------
    InputError
        If weights do not fit the settings.
    MissingDependencyError
        If its readout needs a package that is not installed.
    """

    def __init__(self, settings: ModelSettings, arrays: Arrays) -> None:
        self.settings, self.weights = settings, Weights(arrays)
        self.encoder: Encoder | None = None
        #: what becomes of elements that it was not trained on; None: nothing is known of them
        self.newcomers: Newcomers | None = None
        #: name of another model whose density counts as one more member where errors are judged; "": of none
        self.judged_by = ""
        if settings.peer is None:
            own = self.weights.part("encoder")
            if settings.encoder == "sevennet":
                self.encoder = PretrainedEncoder(settings.sevennet, settings.nequip, own)
            else:
                self.encoder = NequipEncoder(settings.nequip, own)
        self.readout: Readout = self.can.load(self.can.predict)(self)
        own = self.weights.part("spin")
        if own.empty is settings.spin:
            raise ValueError(f"spin: {'no' if own.empty else 'a'} head in the weights, settings say otherwise")
        #: what gives the magnetisation, or None
        self.spin: SpinHead | None = None
        if settings.spin:
            encoder = self.any_encoder
            self.spin = SpinHead(settings.spherical, own, encoder.channels, encoder.cutoff)

    @property
    def can(self) -> Architecture:
        """What its readout is and can."""
        return self.settings.architecture

    @cached_property
    def witness(self) -> "LearnedModel | None":
        """The model that it is judged by: how far another kind of readout is from it tells of its error."""
        return load_model(self.judged_by)[0] if self.judged_by else None

    @property
    def known_elements(self) -> frozenset[int]:
        """Elements trained on more than a few labels (`rhotem.learned.newcomers`)."""
        return frozenset(self.settings.elements) if self.newcomers is None else self.newcomers.known

    @property
    def readout_weights(self) -> tuple[Weights, ...]:
        """Weights of the readout of every member; ValueError where settings say another number."""
        parts = (self.weights.part("readout"), *self.weights.part("others").numbered)
        if len(parts) != self.settings.members:
            raise ValueError(f"members: {len(parts)}, settings say {self.settings.members}")
        return parts

    @property
    def any_encoder(self) -> Encoder:
        """Its encoder, where it is known to have one of ours."""
        if self.encoder is None:
            raise InputError("model: a published network has no encoder of ours")
        return self.encoder

    @property
    def parameters_count(self) -> int:
        """Trained numbers."""
        return sum(a.size for a in self.weights.arrays.values() if a.dtype.kind == "f")


def load_model(name: str | Path, dtype: npt.DTypeLike = np.float32) -> tuple[LearnedModel, dict[str, Any]]:
    """A model by path or name of shipped weights ("default"), and the content of its JSON.

    Tables of elements have rows of relatives where an element was not trained on (`rhotem.learned.relatives`).

    Raises
    ------
    InputError
        If it is not there, truncated, of a newer format, of an unknown architecture, or its weights do not fit it.
    MissingDependencyError
        If its readout needs a package that is not installed.
    """
    path = find_model(name)
    header = read_header(path)
    arrays = in_precision(read_weights(path, header), dtype)
    try:
        settings = read_settings(header, path)
        single = settings.architecture.single
        model = LearnedModel(settings, with_newcomers(arrays, settings.elements) if single else arrays)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"model {path}: weights do not fit the settings in its JSON ({error}); the two files differ"
        ) from error
    model.judged_by = str(header.get("judged_by", ""))
    if not single:
        return model, header
    labels = {int(z): int(n) for z, n in header.get("info", {}).get("labels_by_element", {}).items()}
    model.newcomers = Newcomers(settings.elements, encoded(arrays), path, labels=labels)
    return model, header


def read_settings(header: dict[str, Any], path: Path) -> ModelSettings:
    """Settings of a header.

    Raises
    ------
    InputError
        If they are unknown to this version.
    """
    try:
        return ModelSettings.model_validate(header["settings"])
    except (KeyError, ValidationError) as error:
        why = f" ({error.errors()[0]['msg']})" if isinstance(error, ValidationError) else ""
        raise InputError(
            f"model {path}: architecture or settings unknown to this version of RhoTEM{why}; update RhoTEM or train "
            "again"
        ) from error
