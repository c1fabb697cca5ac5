"""How do report pages look on a desk and on a phone, in light and in dark mode?

Opens pages in a headless Chromium (the one of Qt WebEngine), takes four screenshots of each, and
checks that no page is wider than the screen and that no script fails:

    python -m pip install -e '.[screenshots]'
    python benchmarks/screenshots.py runs/mine/report.html --out shots

Each page has the screenshots NAME-WIDTH-light.png and NAME-WIDTH-dark.png, where NAME is the name
of its folder. The exit status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

WIDTHS = (1280, 390)  # pixels: a laptop, and a phone
MODES = ("light", "dark")
TALLEST = 12_000  # pixels of a screenshot
SECONDS = 60  # in which a page must be drawn


def take(page: Path, out: Path, mode: str) -> list[str]:
    """Take the screenshots of a page in this process; a process can have one mode only.

    Args:
        page: path of the page.
        out: existing folder.
        mode: "light" or "dark".

    Returns:
        What is wrong with the page, a line each.
    """
    scheme = {"dark": 0, "light": 1}[mode]
    os.environ |= {
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",  # which root and containers cannot use
        "QT_LOGGING_RULES": "*.warning=false",
        "QTWEBENGINE_CHROMIUM_FLAGS": f"--blink-settings=preferredColorScheme={scheme} "
        "--hide-scrollbars --disable-gpu --log-level=3",
    }
    from PyQt6.QtCore import QTimer, QUrl
    from PyQt6.QtWebEngineCore import QWebEnginePage
    from PyQt6.QtWebEngineWidgets import QWebEngineView
    from PyQt6.QtWidgets import QApplication

    app, faults = QApplication([sys.argv[0]]), list[str]()

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level, message, line, source):
            faults.append(f"script: {message} (line {line})")

    view = QWebEngineView()
    view.setPage(Page(view))
    waiting = list(WIDTHS)

    def begin() -> None:
        if not waiting:
            app.quit()
            return
        view.resize(waiting[0], 900)
        view.load(QUrl.fromLocalFile(str(page.resolve())))

    def loaded(succeeded: bool) -> None:
        if not succeeded:
            faults.append("the page cannot be read")
            app.quit()
            return
        script = (
            "[document.documentElement.scrollHeight, document.documentElement.scrollWidth,"
            " innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]"
        )
        view.page().runJavaScript(script, measured)

    def measured(sizes: list) -> None:
        height, content, width, dark = sizes
        if content > width:
            faults.append(f"{content} pixels wide on a screen of {width}")
        if bool(dark) != (mode == "dark"):
            faults.append(f"the browser is not in {mode} mode")
        view.resize(waiting[0], min(int(height), TALLEST))
        QTimer.singleShot(1500, grab)  # until the resized page is drawn

    def grab() -> None:
        width = waiting.pop(0)
        view.grab().save(str(out / f"{page.resolve().parent.name}-{width}-{mode}.png"))
        begin()

    view.loadFinished.connect(loaded)
    view.show()
    begin()
    QTimer.singleShot(1000 * SECONDS, lambda: (faults.append("too slow"), app.quit()))
    app.exec()
    return faults


def main() -> int:
    """Take all screenshots, each mode in a process of its own; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE", help="HTML file")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="output folder")
    parser.add_argument("--mode", choices=MODES, help="only this mode")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.mode is not None and len(args.pages) == 1:
        faults = take(args.pages[0], args.out, args.mode)
        print("".join(f"{args.pages[0]}, {args.mode}: {fault}\n" for fault in faults), end="")
        return 1 if faults else 0
    modes = MODES if args.mode is None else (args.mode,)
    status = 0
    for page in args.pages:
        for mode in modes:
            line = [sys.executable, __file__, str(page), "--out", str(args.out), "--mode", mode]
            status |= subprocess.run(line, check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
