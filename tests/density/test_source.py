"""Which source is taken where none is named."""

from rhotem.density import source


def test_the_learned_density_where_it_can_be_evaluated(monkeypatch):
    monkeypatch.setattr(source, "find_spec", lambda name: object())
    assert source.default_source() == "model"
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    assert source.default_source() == "free-atoms"
