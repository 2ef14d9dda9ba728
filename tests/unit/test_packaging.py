"""What is shipped, and who may import what."""

import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_list_of_packages_is_the_tree() -> None:
    found = {str(init.parent.relative_to(ROOT)).replace("/", ".") for init in (ROOT / "kvmtui").rglob("__init__.py")}
    assert sorted(found | {"kvmtui.styles"}) == PROJECT["tool"]["setuptools"]["packages"]
    homeless = {file.parent for file in (ROOT / "kvmtui").rglob("*.py") if not (file.parent / "__init__.py").exists()}
    assert not homeless


def test_styles_can_be_read_from_the_package() -> None:
    shipped = {
        file.name: file.read_text(encoding="utf-8") for file in files("kvmtui.styles").iterdir() if file.is_file()
    }
    sheets = {name for name in shipped if name.endswith(".tcss")}
    assert sheets == {path.name for path in (ROOT / "styles").glob("*.tcss")} != set()
    assert all(shipped[name].strip() for name in sheets)
    assert "py.typed" in {file.name for file in files("kvmtui").iterdir()}


def _modules(package: str) -> list[str]:
    folder = ROOT.joinpath(*package.split("."))
    if folder.with_suffix(".py").exists():
        return [package]
    paths = (path.relative_to(ROOT).with_suffix("") for path in folder.rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


@pytest.mark.parametrize(
    ("package", "own", "others"),
    [
        ("kvmtui.model", {"kvmtui.model"}, set[str]()),
        ("kvmtui.config", {"kvmtui.config", "kvmtui.model"}, set[str]()),
        ("kvmtui.arguments", {"kvmtui.arguments", "kvmtui.config", "kvmtui.model"}, set[str]()),
        (
            "kvmtui.cli",
            {"kvmtui.cli", "kvmtui.arguments", "kvmtui.log", "kvmtui.config", "kvmtui.config_file", "kvmtui.model"},
            set[str](),
        ),
        ("kvmtui.hypervisor", {"kvmtui.hypervisor", "kvmtui.config", "kvmtui.model"}, {"psutil"}),
        ("kvmtui.engine", {"kvmtui.engine", "kvmtui.hypervisor", "kvmtui.config", "kvmtui.model"}, {"psutil"}),
    ],
)
def test_a_layer_loads_only_what_is_below_it(package: str, own: set[str], others: set[str]) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        f"import {', '.join(_modules(package))}\n"
        "print(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    names = loaded.stdout.split()
    ours = {".".join(name.split(".")[:2]) for name in names if name.startswith("kvmtui.")}
    assert ours <= own
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"kvmtui"}
    assert {name.removeprefix("_").removesuffix("_linux") for name in foreign} <= others


def test_every_test_that_the_readme_names_exists() -> None:
    named = re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(named) > 25
    assert missing == []
