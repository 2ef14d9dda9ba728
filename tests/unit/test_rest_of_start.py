"""What is done after the first picture, whatever goes wrong with it."""

import gc
from collections.abc import Iterator

import pytest

from kvmtui.ui import rest_of_start


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_the_collector_works_again_even_where_a_module_cannot_be_loaded(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise error(name)

    monkeypatch.setattr(rest_of_start, "import_module", fail)
    gc.disable()
    rest_of_start.finish_start().join(20)
    assert gc.isenabled()
