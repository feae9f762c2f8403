"""`pair`: axes of a sweep whose values go side by side instead of being multiplied."""

from rnnlab.app.config.messages import ConfigProblems


def check_pair(paired: list[str], sizes: dict[str, int]) -> None:
    """Check that the axes which are to be paired have the same number of values.

    Args:
        paired: Their keys, as in `pair`.
        sizes: The number of values of each.

    Raises:
        ConfigProblems: They do not fit together.
    """
    override = f"pair=[{','.join(paired)}]"
    if len(paired) == 1:
        raise ConfigProblems([f"{override}: must name two axes or more"])
    for key in paired:
        if sizes.get(key, 1) < 2:
            raise ConfigProblems([f"{override}: {key} must have several values, as in {key}=a,b"])
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{key} has {size:,} values" for key, size in sizes.items())
        raise ConfigProblems([f"{override}: {counts}; each needs as many as the others"])
