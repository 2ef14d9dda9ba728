"""The screens and their dialogs."""
