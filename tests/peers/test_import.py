"""Official layouts are read; damaged, incomplete, foreign or dangerous files are refused by one line."""

import functools
import json
import os
import shutil
from pathlib import PurePosixPath

import pytest
import torch

from rhotem.core import InputError
from rhotem.peers.charge3net import ChargE3NetSettings
from rhotem.peers.checkpoint import fill, find_peer, import_checkpoint, load_peer, settings_of
from rhotem.peers.deepdft import DeepDFTSettings
from rhotem.peers.networks import make_peer
from rhotem.peers.official import official_name, read_checkpoint

KEY = "probe_model.message_layers.1.filter_layer.weight"


@pytest.fixture
def small():
    """A small PaiNN as its official code would save it."""
    settings = DeepDFTSettings(architecture="deepdft-painn", size=8, interactions=2)
    model = make_peer(settings, seed=1)
    return {official_name("deepdft-painn", name): value for name, value in model.state_dict().items()}


def save(folder, content, **arguments):
    torch.save(content, folder / "best_model.pth")
    said = {"cutoff": 4.0, "num_interactions": 2, "node_size": 8, "use_painn_model": True, "ignore_pbc": False}
    (folder / "arguments.json").write_text(json.dumps(said | arguments))
    return folder


def test_folder_and_file(small, tmp_path):
    folder = save(tmp_path, {"model": small, "step": 3})
    for path in (folder, folder / "best_model.pth"):
        model, header = load_peer(import_checkpoint(path, "mine", folder=tmp_path / "kept"))
        name = "probes.1.message.filter.weight"
        assert torch.equal(model.state_dict()[name], small[KEY])
        assert header["info"]["imported_from"] == "best_model.pth" and len(header["info"]["sha256"]) == 64


def test_files_of_old_torch(small, tmp_path):
    """Before torch 1.6 a checkpoint was no zip file."""
    folder = save(tmp_path, {"model": small})
    torch.save({"model": small}, folder / "best_model.pth", _use_new_zipfile_serialization=False)
    assert load_peer(import_checkpoint(folder, "mine", folder=tmp_path / "kept"))[0].settings.size == 8


def test_imported_models_are_found_by_name(small, tmp_path, monkeypatch):
    monkeypatch.setenv("RHOTEM_MODELS", str(tmp_path / "kept"))
    import_checkpoint(save(tmp_path, {"model": small}), "mine")
    assert find_peer("mine") == tmp_path / "kept" / "mine.safetensors"
    with pytest.raises(InputError, match=r"there are: mine"):
        find_peer("yours")


def test_one_key_missing_is_named(small, tmp_path):
    del small[KEY]
    with pytest.raises(InputError, match=rf"{KEY} is missing, expected \(24, 30\)"):
        import_checkpoint(save(tmp_path, {"model": small}), "mine", folder=tmp_path)


def test_a_wrong_shape_is_named(small, tmp_path):
    small[KEY] = small[KEY][:, :29]
    with pytest.raises(InputError, match=rf"{KEY} has shape \(24, 29\), expected \(24, 30\)"):
        import_checkpoint(save(tmp_path, {"model": small}), "mine", folder=tmp_path)


def test_values_that_are_not_finite_are_named(small, tmp_path):
    small[KEY][0, 0] = torch.nan
    with pytest.raises(InputError, match=f"{KEY} contains values that are not finite"):
        import_checkpoint(save(tmp_path, {"model": small}), "mine", folder=tmp_path)


def test_settings_of_another_model_are_noticed(small, tmp_path):
    with pytest.raises(InputError, match=r"does not belong to deepdft-painn"):
        import_checkpoint(save(tmp_path, {"model": small}, num_interactions=1), "mine", folder=tmp_path)
    with pytest.raises(InputError, match=r"has shape"):
        import_checkpoint(save(tmp_path, {"model": small}, node_size=16), "mine", folder=tmp_path)
    with pytest.raises(InputError, match=r"cutoff"):
        import_checkpoint(save(tmp_path, {"model": small}, cutoff="far"), "mine", folder=tmp_path)


class Trap:
    """Unpickled, it calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_files_that_ask_for_the_system_are_refused(small, tmp_path):
    trap = Trap(os.mkdir, str(tmp_path / "trapped"))
    with pytest.raises(InputError, match=r"asks for posix\.mkdir to be run"):
        import_checkpoint(save(tmp_path, {"model": small, "step": trap}), "mine", folder=tmp_path)
    assert not (tmp_path / "trapped").exists()


def test_objects_of_training_programs_are_passed_over_and_never_run(small, tmp_path):
    """As Lightning stores them: options with functions and classes of packages that are not needed."""
    content = {
        "state_dict": {f"network.{name}": value for name, value in small.items()},
        "hyper_parameters": {
            "optimizer": functools.partial(torch.optim.Adam, lr=0.01),
            "path": PurePosixPath("a/b"),
            "made": Trap(shutil.copyfile, __file__, str(tmp_path / "trapped")),
        },
    }
    target = import_checkpoint(save(tmp_path, content), "mine", folder=tmp_path / "kept")
    assert torch.equal(load_peer(target)[0].state_dict()["probes.1.message.filter.weight"], small[KEY])
    assert not (tmp_path / "trapped").exists()


def test_damaged_and_foreign_files(small, tmp_path):
    file = save(tmp_path, {"model": small}) / "best_model.pth"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or not a PyTorch file"):
        import_checkpoint(file, "mine", folder=tmp_path)
    torch.save({"model": {"encoder.weight": torch.zeros(2)}}, file)
    with pytest.raises(InputError, match=r"neither DeepDFT nor ChargE3Net \(they begin with encoder\.weight\)"):
        import_checkpoint(file, "mine", folder=tmp_path)
    with pytest.raises(InputError, match="no such file"):
        import_checkpoint(tmp_path / "absent.pt", "mine", folder=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="best_model"):
        import_checkpoint(tmp_path / "empty", "mine", folder=tmp_path)
    with pytest.raises(InputError, match="plain word"):
        import_checkpoint(save(tmp_path, {"model": small}), "../mine", folder=tmp_path)


def test_lightning_layout_and_sizes_from_the_weights_alone(official, tmp_path):
    weights = official.state_dict("charge3net")
    wrapped = {"pytorch-lightning_version": "1.9.0", "state_dict": {f"network.{k}": v for k, v in weights.items()}}
    torch.save(wrapped, tmp_path / "old.ckpt")
    file, tensors, said = read_checkpoint(tmp_path / "old.ckpt")
    settings = settings_of(file, tensors, said, {})
    published = official.SETTINGS["charge3net"]
    assert (settings.mul, settings.lmax, settings.functions) == (published["mul"], published["lmax"], 20)
    assert set(tensors) == set(weights) and settings.interactions == 3


@pytest.mark.parametrize(
    ("mul", "lmax", "spin"), [(24, 2, False), (37, 3, True), (12, 0, False), (53, 1, False), (100, 6, False)]
)
def test_any_mul_and_lmax_is_found(mul, lmax, spin, tmp_path):
    """Official files say neither: what is found must have the same shapes and take the same weights."""
    model = make_peer(ChargE3NetSettings(mul=mul, lmax=lmax, spin=spin, functions=5), seed=1)
    weights = {official_name("charge3net", name): value for name, value in model.state_dict().items()}
    file = tmp_path / "charge3net_qm9.pt"
    settings = settings_of(file, weights, {}, {})
    assert (settings.lmax, settings.spin, settings.interactions, settings.functions) == (lmax, spin, 3, 5)
    again = make_peer(settings)
    fill(file, again, weights)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in again.state_dict().items())
    with pytest.raises(InputError, match="fit no mul and lmax"):
        settings_of(file, weights | {"probe_model.readout.weight": torch.zeros(7919)}, {}, {})


def test_shapes_of_charge3net_are_named(official, tmp_path):
    weights = official.state_dict("charge3net")
    key = "probe_model.convolutions.2.lin2.weight"
    weights[key] = weights[key][:-1]
    torch.save({"model": weights}, tmp_path / "charge3net_mp.pt")
    with pytest.raises(InputError, match=rf"{key} has shape \(118623,\), expected \(118624,\)"):
        import_checkpoint(tmp_path / "charge3net_mp.pt", "mine", folder=tmp_path)


def test_couplings_of_other_signs_are_noticed(official, tmp_path):
    from e3nn import o3

    weights = official.state_dict("charge3net")
    key = "probe_model.convolutions.2.tp._compiled_main_left_right._w3j_1_1_2"
    weights[key] = o3.wigner_3j(1, 1, 2)
    torch.save({"model": weights}, tmp_path / "charge3net_mp.pt")
    import_checkpoint(tmp_path / "charge3net_mp.pt", "mine", folder=tmp_path)
    weights[key] = -weights[key]
    torch.save({"model": weights}, tmp_path / "charge3net_mp.pt")
    with pytest.raises(InputError, match="other signs"):
        import_checkpoint(tmp_path / "charge3net_mp.pt", "mine", folder=tmp_path)
