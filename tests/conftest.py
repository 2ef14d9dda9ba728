"""What holds for all tests."""

from hypothesis import settings

# The same code gives the same result; `pytest --hypothesis-profile=default` looks for what nobody has seen yet.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")
