"""Beginning a recording from the palette."""

import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kvmtui.engine.engine import Engine
from kvmtui.engine.recording.file import RecordingError
from kvmtui.model.clean import clean
from kvmtui.ui.screens.line import LineScreen

if TYPE_CHECKING:
    from kvmtui.ui.screens.acting_screen import ActingScreen


def ask_and_record(main: "ActingScreen", engine: Engine) -> None:
    """Ask for a file, and record to it."""

    def record(file: Path) -> None:
        try:
            engine.record(file)
        except RecordingError as error:
            told = f"not recorded: {error}", "$text-error"
        else:
            told = f"recording to {clean(str(file))}", ""
        if main.app.is_running:
            main.app.call_from_thread(main.note, *told)

    def chosen(line: str | None) -> None:
        if line is not None:
            # The file may be on a disk that hangs.
            file = Path(line).expanduser()
            threading.Thread(target=record, args=(file,), name="begin recording", daemon=True).start()

    now = datetime.now()
    explanation = "A recording that is there is added to. kvmtui replay FILE plays it, also while it is written."
    main.app.push_screen(LineScreen("Record to which file?", explanation, f"kvmtui-{now:%Y-%m-%d}.rec"), chosen)
