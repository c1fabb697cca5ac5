import pytest
from torch import nn

from moonas.nets.from_function import network_from_function


def test_a_function_in_a_file_builds_a_network(tmp_path):
    file = tmp_path / "network.py"
    file.write_text("import torch\n\ndef make():\n    return torch.nn.Conv2d(3, 2, 1)\n")
    assert isinstance(network_from_function("features", f"{file}:make"), nn.Conv2d)


def test_a_function_in_a_module_builds_a_network():
    assert isinstance(network_from_function("features", "torch.nn:Identity"), nn.Identity)


@pytest.mark.parametrize(
    "function", ["nothing", "moonas:nothing", "json:loads", "builtins:dict", "nowhere.py:make"]
)
def test_the_error_for_a_function_that_returns_no_network_names_setting_and_function(function):
    with pytest.raises(ValueError, match=f"segmentation='{function}' is invalid: expected"):
        network_from_function("segmentation", function)
