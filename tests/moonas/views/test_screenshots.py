"""Screenshots of a page in a headless Chromium, as benchmarks/screenshots.py takes them."""

import contextlib
import importlib.util
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moonas.cli import main

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "screenshots.py"
MISSING = importlib.util.find_spec("PyQt6") is None or (
    importlib.util.find_spec("PyQt6.QtWebEngineCore") is None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING, reason="needs a Chromium: pip install '.[screenshots]'"),
]


def take(*pages, out):
    command = [sys.executable, str(SCRIPT), *map(str, pages), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown") / "table"
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["search", "digits-table", "--generations", "3", "--out", str(folder)]) == 0
        assert main(["show", str(folder)]) == 0
    return folder / "report.html"


def test_a_page_fits_a_laptop_and_a_phone_in_light_and_dark_mode(page, tmp_path):
    done = take(page, out=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    brightness = {}
    for mode in ("light", "dark"):
        for width in (1280, 390):
            with Image.open(tmp_path / f"table-{width}-{mode}.png") as image:
                assert image.width == width and image.height > 1000
                brightness[mode, width] = np.asarray(image.convert("L")).mean()
    assert min(v for (mode, _), v in brightness.items() if mode == "light") > 200
    assert max(v for (mode, _), v in brightness.items() if mode == "dark") < 80


@pytest.mark.parametrize(
    ("addition", "fault"),
    [
        ('<div style="width: 2000px">wide</div>', "2008 pixels wide on a screen of 390"),
        ("<script>nothing.here()</script>", "script: "),
    ],
)
def test_a_page_that_does_not_fit_or_whose_script_fails_is_reported(
    page, tmp_path, addition, fault
):
    broken = Path(shutil.copy(page, tmp_path / "broken.html"))
    broken.write_text(broken.read_text().replace("</main>", f"{addition}</main>"))
    done = take(broken, out=tmp_path)
    assert done.returncode == 1 and fault in done.stdout
