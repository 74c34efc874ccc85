"""Several seeds, as text: a range, such as 0:5 for 0 to 4, or a list, such as 0,3,7."""

__all__ = ["read_seeds"]

_MOST = 1000


def read_seeds(text: str) -> list[int]:
    """Returns the seeds that a text names.

    Raises:
        ValueError: it names none, one twice, or too many.

    >>> read_seeds("0:3"), read_seeds("5,2")
    ([0, 1, 2], [5, 2])
    """
    seeds = [seed for part in text.split(",") for seed in _of_part(part.strip(), text)]
    if len(seeds) > _MOST:
        raise ValueError(f"--seeds {text} names {len(seeds):,} seeds; at most {_MOST:,} are trained at once.")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds {text} names a seed twice.")
    return seeds


def _of_part(part: str, text: str) -> range:
    ends = part.split(":")
    if len(ends) > 2 or not all(end.isascii() and end.isdigit() for end in ends):
        raise ValueError(
            f"--seeds must be a range such as 0:5, which is 0 to 4, or a list such as 0,3,7, not {text!r}."
        )
    first, end = int(ends[0]), int(ends[-1]) + (len(ends) == 1)
    if not first < end <= 1 << 64:
        raise ValueError(f"--seeds {part} names no seed from 0 to 2**64 - 1.")
    if end - first > _MOST:
        raise ValueError(f"--seeds {part} names {end - first:,} seeds; at most {_MOST:,} are trained at once.")
    return range(first, end)
