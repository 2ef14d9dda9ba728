"""The flight recorder: what is published is written to one file, and played again on the same screen."""
