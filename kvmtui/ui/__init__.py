"""The terminal dashboard; the only importer of Textual, Rich and the terminal emulator."""
