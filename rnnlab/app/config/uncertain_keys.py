"""Keys whose intended values are unknown because the command line contains mistakes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UncertainKeys:
    """Keys that have a default value because the value on the command line is a mistake.

    A further problem that depends on such a key may only be a consequence of the mistake.
    """

    keys: frozenset[str] = frozenset()

    def affect(self, *keys: str) -> bool:
        """Return True if the value of any of the given keys, or of a key inside them, is uncertain."""
        return any(
            is_inside(key, uncertain) or is_inside(uncertain, key) for key in keys for uncertain in self.keys
        )

    def unless_affected(self, problems: list[str], *keys: str) -> list[str]:
        """Return the problems if the values of all keys on which they depend are certain, else none."""
        return [] if self.affect(*keys) else problems


NO_UNCERTAIN_KEYS = UncertainKeys()


def is_inside(key: str, group: str) -> bool:
    """Return True if a dotted key is equal to `group` or inside `group`."""
    return key == group or key.startswith(f"{group}.")
