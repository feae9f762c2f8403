"""Pairing of the sweep axes listed in `pair`: only values at the same position on each axis are combined."""

from rnnlab.app.config.messages import ConfigProblems


def check_pair(keys: list[str], sizes: dict[str, int]) -> None:
    """Raise ConfigProblems unless all paired axes have the same number of values.

    Args:
        keys: Keys listed in `pair`.
        sizes: Number of values of each axis.

    Raises:
        ConfigProblems: If `pair` lists only one key, if an axis has only one value, or if the numbers of
            values differ.
    """
    override = f"pair=[{','.join(keys)}]"
    if len(keys) == 1:
        raise ConfigProblems([f"{override}: must name at least two axes"])
    for key in keys:
        if sizes.get(key, 1) < 2:
            raise ConfigProblems([f"{override}: {key} must have several values, as in {key}=a,b"])
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{key} has {size:,} values" for key, size in sizes.items())
        raise ConfigProblems([f"{override}: {counts}; paired axes must have the same number of values"])
