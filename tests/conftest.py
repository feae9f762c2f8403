from hypothesis import settings

# No deadline: tests judge results, not the clock. Derandomised, so that a failure repeats.
settings.register_profile("rnnlab", deadline=None, derandomize=True, database=None)
settings.load_profile("rnnlab")
