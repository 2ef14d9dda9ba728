"""What pyproject.toml cannot say: the manual page is made when the package is, and pip and pipx install it with it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from kvmtui.arguments import parser_of_all
from kvmtui.report.manual import manual

PAGE = Path("build/kvmtui.1")

PAGE.parent.mkdir(exist_ok=True)
PAGE.write_text(manual(parser_of_all()), encoding="utf-8")
if __name__ == "__main__":
    from setuptools import setup

    setup(data_files=[("share/man/man1", [str(PAGE)])])
