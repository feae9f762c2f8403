"""Pairing of sweep axes (`pair`): values are combined one to one instead of in every combination."""

from rnnlab.app.config.messages import ConfigProblems


def check_pair(keys: list[str], sizes: dict[str, int]) -> None:
    """Raise ConfigProblems unless all paired axes have the same number of values.

    Args:
        keys: Keys of the paired axes, as in `pair`.
        sizes: Number of values of each axis.

    Raises:
        ConfigProblems: If the axes cannot be paired.
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
