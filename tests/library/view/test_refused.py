"""What no entry can be made of is refused before a density is made."""

import pytest

from rhotem.analysis import workflow
from rhotem.core import InputError
from rhotem.library.view.make import Span, make_entry
from rhotem.scattering.response import Range

from .conftest import PLAN


@pytest.mark.parametrize(
    ("change", "span", "message"),
    [
        ({"defocus_nm": "best"}, Span((0.4,), Range()), "without a series or defocus best"),  # was taken for 0 nm
        ({"defocus_nm": "best:ABF"}, Span((0.4,), Range()), "without a series or defocus best"),
        ({}, Span((), Range()), "thicknesses: give one or more"),  # was a ValueError
        ({}, Span((0.4,), Range(), edges=(500.0,)), r"edges \[500.0\] mrad: expected angles up to 60 mrad"),
        ({}, Span((0.4,), Range(convergence=30.0)), "smallest aperture of 30 mrad is larger"),
    ],
)
def test_what_cannot_be_held_is_refused_at_once(change, span, message, tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "prepare", lambda *_: pytest.fail("work began"))
    with pytest.raises(InputError, match=message):
        make_entry(PLAN.changed(**change), tmp_path / "entry", span)
    assert not (tmp_path / "entry").exists()
