"""The example package in CONTRIBUTING.md can be installed and its problem can be used."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = Path(__file__).parent / "packages" / "mlp_widths"
COMMANDS = [
    "list mlp-widths",
    "search mlp-widths --generations 2 --out run --set proxy_epochs=1 workers=1 population=4",
    "train run --pick knee --set epochs=2",
    "export run/training-knee --format python",
    "evaluate run/training-knee",
    "show run",
    "compare mlp-widths --algorithms nsga2 random --seeds 2 --evaluations 8 --jobs 1 --out compared"
    " --set proxy_epochs=1 workers=1 population=4",
]
RUN_COMMANDS = """
import sys
from moonas.cli import main
from moonas.testing import check_problem
import moonas
for line in sys.argv[1:]:
    print("$", line)
    status = main(line.split())
    assert status == 0, status
check_problem(moonas.load_problem("mlp-widths", proxy_epochs=1, workers=1), n=4, generations=2)
"""


def test_contributing_contains_the_code_of_the_example_package():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", text, flags=re.DOTALL)
    code = (PACKAGE / "mlp_widths.py").read_text(encoding="utf-8")
    assert code in blocks and (PACKAGE / "pyproject.toml").read_text(encoding="utf-8") in blocks
    assert len(code.splitlines()) <= 60


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory):
    """Folder in which the example package is installed."""
    source = tmp_path_factory.mktemp("source") / "mlp_widths"
    shutil.copytree(PACKAGE, source)
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
    ]
    command += ["--no-build-isolation", "--disable-pip-version-check", str(source)]
    subprocess.run(command, check=True)
    return folder


@pytest.mark.slow
def test_every_command_works_with_the_example_package(site_packages, tmp_path):
    path = os.pathsep.join([str(site_packages), os.environ.get("PYTHONPATH", "")]).rstrip(
        os.pathsep
    )
    done = subprocess.run(
        [sys.executable, "-c", RUN_COMMANDS, *COMMANDS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    front = (tmp_path / "run" / "front.csv").read_text().splitlines()
    assert front[0].startswith("error,params,macs") and "trained_error" in front[0]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["problem"] == "mlp-widths"
    assert (tmp_path / "run" / "training-knee" / "network.py").exists()
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "compared" / "report.html").exists()
    list_output = done.stdout.split("$ list")[1].split("$ search")[0]
    assert "3 integers, 125 vectors" in " ".join(list_output.split())
