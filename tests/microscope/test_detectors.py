"""A kind of detector is one class: nothing else is edited for a new one."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from pydantic import TypeAdapter

from rhotem.core import InputError
from rhotem.microscope.detectors import KINDS, Channel, Detector, image_names, parse_detector, unit
from rhotem.microscope.detectors.base import Ring
from rhotem.microscope.detectors.registry import largest_angle
from rhotem.microscope.presets import get_preset
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope, Segmented
from rhotem.microscope.simulate import simulate

from .conftest import COLUMNS, gaussian_slices

MICROSCOPE = Microscope(energy=200e3, convergence=25.0)


@pytest.fixture
def eighths():
    """Eight segments, a kind that the package does not have; it leaves the registry after the test."""

    class Eighths(Ring):
        """Eight segments of a ring; the image is their largest difference in per cent of the beam."""

        units: ClassVar[Mapping[str, str]] = {"Contrast8": "%"}
        written: ClassVar[tuple[str, ...]] = ("oct",)
        kind: Literal["eighths"] = "eighths"
        name: str = ""

        def image_names(self) -> list[str]:
            return [f"{self.name}Contrast8"]

        def channels(self) -> list[Channel]:
            parts = [(45.0 * i - 22.5, 45.0 * i + 22.5) for i in range(8)]
            return [Channel(f"{self.name}eighth{i}", self.region(*part)) for i, part in enumerate(parts)]

        def images(self, signals: Mapping[str, Any], scan: Scan, microscope: Microscope) -> dict[str, Any]:
            parts = np.stack([signals[f"{self.name}eighth{i}"] for i in range(8)])
            return {f"{self.name}Contrast8": 100 * (parts.max(axis=0) - parts.min(axis=0))}

    yield Eighths
    del KINDS["eighths"]


def test_a_new_kind_is_written_validated_and_imaged(eighths):
    detector = parse_detector("Oct=6-22")
    assert isinstance(detector, eighths) and (detector.inner, detector.outer) == (6.0, 22.0)
    assert image_names(detector) == ["Contrast8"] and unit("Contrast8") == "%"
    adapter = TypeAdapter(list[Detector])
    assert adapter.validate_python([detector.model_dump()]) == [detector]
    assert adapter.validate_json(adapter.dump_json([detector])) == [detector]
    assert "eighths" in str(adapter.json_schema())
    assert get_preset("layered-oxide").adjusted([detector]).detectors == (detector,)
    slices = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=3)
    images = simulate([slices], MICROSCOPE, None, [detector], algorithm="bloch")
    assert images["Contrast8"].shape == images.scan.shape and images["Contrast8"].max() > 0.1


def test_eighths_are_parts_of_segments_and_share_their_electrons(eighths):
    """Two quadrants 45° apart leave an eighth: eight of them tile the ring, and a dose is drawn once for all."""
    slices = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=3)
    ring, eight = Annular(name="ring", inner=6, outer=22), eighths(inner=6, outer=22)
    seen: dict[str, Any] = {}

    class Sums(eighths):
        kind: Literal["sums"] = "sums"

        def images(self, signals, scan, microscope):
            seen.update(signals)
            return {"sum": sum(signals[f"eighth{i}"] for i in range(8))}

    try:
        for dose, rng in ((None, None), (1e4, np.random.default_rng(3))):
            microscope = MICROSCOPE.model_copy(update={"dose": dose})
            both = [ring, Segmented(inner=6, outer=22), Sums(inner=6, outer=22)]
            images = simulate([slices], microscope, None, both, algorithm="bloch", rng=rng)
            assert np.allclose(images["sum"], images["ring"], rtol=1e-5)
            # neighbouring eighths of +x lie in the segment of +x
            assert (seen["eighth0"] <= seen["segment0"] * (1 + 1e-6)).all()
        assert eight.channels()[0].region.quadrants == (-22.5, 22.5)
    finally:
        del KINDS["sums"]


def test_unknown_kinds_are_refused_by_name():
    with pytest.raises(ValueError, match="kind 'ronchi' of a detector is not known; use annular"):
        TypeAdapter(Detector).validate_python({"kind": "ronchi", "outer": 3})
    with pytest.raises(InputError, match="no inner angle; write CoM=40"):
        parse_detector("CoM=3-40")


@pytest.mark.parametrize("name", ["overview", "PACBED", "Probe", "diffraction"])
def test_a_detector_named_like_another_picture_is_refused(name: str):
    """Its picture would replace overview.png or PACBED.png without a word."""
    with pytest.raises(InputError, match="choose another name"):
        largest_angle([Annular(name=name, inner=10, outer=20)])


def test_two_nameless_detectors_of_one_kind_are_refused_with_words_that_help():
    """The command line gives segments no name, so asking for another name would be no help."""
    with pytest.raises(InputError, match="without a name: ask for one of them"):
        largest_angle([parse_detector("DPC=6-22"), parse_detector("iDPC=10-20")])


@pytest.mark.parametrize(
    ("written", "shared"),
    [(("CoMx=30", "CoM=40"), "CoMx"), (("segment1=6-22", "DPC=6-22"), "segment1"), (("DPC=6-22", "DPCx=9"), "DPCx")],
)
def test_detectors_do_not_take_each_others_sums_or_images(written: tuple[str, str], shared: str):
    """One image was overwritten, or deflections were made of the other's ring, without a word."""
    with pytest.raises(InputError, match=f"have {shared}; give one another name"):
        largest_angle([parse_detector(text) for text in written])
    largest_angle(
        [parse_detector(text) for text in ("CoM=40", "DPC8=6-22", "eABF=11-22", "ABF=11-22", "N-K", "N-K@40")]
    )
