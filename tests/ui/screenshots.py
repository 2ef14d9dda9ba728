"""Takes the pictures of the README from the running program on the demo hosts: `python -m tests.ui.screenshots`."""

import re
import sys
from functools import partial
from pathlib import Path

from rich.cells import cell_len
from textual._doc import take_svg_screenshot

from tests.ui.scenes import SCENES
from tests.ui.stage import measured_time_stands_still

FOLDER = Path(__file__).parents[2] / "screenshots"
PICTURES = {
    "dashboard": "dashboard",
    "small": "small",
    "confirm": "confirm",
    "migrate": "move_warns_wide",
    "moves": "moves",
    "console": "console",
    "plan": "plan",
    "findings": "findings",
}
"""File name to scene."""
_FONTS = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace'
_CELL = 12.2
"""The width of a cell in Textual's pictures."""
_TEXT = re.compile(
    r'<text class="(?P<style>[\w-]+)" x="(?P<x>[\d.]+)" (?P<y>y="[\d.]+") textLength="[\d.]+" '
    r'(?P<clip>clip-path="[^"]*")>(?P<text>[^<]*)</text>'
)


def main() -> int:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for file, scene in PICTURES.items():
        path = FOLDER / f"{file}.svg"
        path.write_text(picture(scene), encoding="utf-8")
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return 0


def picture(name: str) -> str:
    """Return a scene as SVG."""
    scene = SCENES[name]
    with measured_time_stands_still():
        stage = scene.stage()
        try:
            svg = take_svg_screenshot(
                app=stage.app, terminal_size=(scene.columns, scene.rows), run_before=partial(scene.run, stage)
            )
        finally:
            stage.end()
    return plain(svg)


def plain(svg: str) -> str:
    """Return a picture that names no other server and needs no font of its own."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace;", f"font-family: {_FONTS};")
    svg = re.sub(r"terminal-\d+-", "terminal-", svg)
    svg = re.sub(r"\s*<!-- Generated with Rich [^>]*-->", "", svg)
    return re.sub(r"[ \t]+$", "", _TEXT.sub(_words, svg), flags=re.MULTILINE)


def _words(match: re.Match[str]) -> str:
    """Return a line's words each at its place: not every viewer keeps the spaces between, or knows their width."""
    words: list[str] = []
    x = float(match["x"])
    for word in re.split("((?:&#160;){2,}|^&#160;|&#160;$)", match["text"]):
        shown = re.sub("&#?\\w+;", "x", word)
        width = cell_len(shown) * _CELL
        if word.replace("&#160;", ""):
            words.append(
                f'<text class="{match["style"]}" x="{x:.1f}" {match["y"]} textLength="{width:.1f}" {match["clip"]}>'
                f"{word}</text>"
            )
        x += width
    return "".join(words)


if __name__ == "__main__":
    sys.exit(main())
