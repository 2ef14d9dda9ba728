"""The widgets: hosts, VM table, graphs, console."""
