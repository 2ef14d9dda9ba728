"""The colours: few, each with one meaning."""

from textual.theme import Theme

THEME = Theme(
    name="kvmtui",
    primary="#7aa2f7",
    secondary="#7dcfff",
    accent="#bb9af7",
    success="#73c991",
    warning="#e0af68",
    error="#f7768e",
    foreground="#c8ccd4",
    background="#14161b",
    surface="#1a1d24",
    panel="#22262f",
    dark=True,
    variables={"border": "#3a3f4b", "input-selection-background": "#3a4a6b"},
)
