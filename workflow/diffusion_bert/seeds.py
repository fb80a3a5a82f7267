"""Every random draw comes from the config's one seed and the name of what is drawn."""

import hashlib


def derive_seed(seed: int, *names: object) -> int:
    """A 63-bit seed for one purpose: SHA-256 of the config's seed and the names (rule, wildcards, purpose).

    Independent of job order and core count; another name gives an unrelated stream.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
