"""The screens: main, confirmation, destination, help."""
