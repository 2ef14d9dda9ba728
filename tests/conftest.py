"""What holds for all tests."""

import signal

from hypothesis import settings

# The same code gives the same result; `pytest --hypothesis-profile=default` looks for what nobody has seen yet.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")

# A shell script's background jobs ignore it, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
