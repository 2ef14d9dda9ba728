"""How the fuzz tests look: the same examples in every run, few enough for a test run, and no time limit for each."""

from hypothesis import HealthCheck, settings

FUZZ = settings(
    max_examples=400,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
