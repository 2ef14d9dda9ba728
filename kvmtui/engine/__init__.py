"""Threads and time: polling, the store, actions and migrations."""
