"""Bytes altered as disks, editors and networks alter them."""

import random


def cut(content, rng):
    return content[: rng.randrange(len(content))]


def flip(content, rng):
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def insert(content, rng):
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice((1, 2, 64))) + content[at:]


def remove(content, rng):
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randrange(1, 64) :]


def repeat(content, rng):
    at, n = rng.randrange(len(content)), rng.randrange(1, 200)
    return content[:at] + content[at : at + n] + content[at:]


def exchange(content, rng):
    a, b = sorted(rng.sample(range(len(content)), 2))
    n = rng.randrange(1, 16)
    return content[:a] + content[b : b + n] + content[a + n : b] + content[a : a + n] + content[b + n :]


def zero(content, rng):
    at, n = rng.randrange(len(content)), rng.randrange(1, 4096)
    return content[:at] + bytes(len(content[at : at + n])) + content[at + n :]


def header(content, rng):
    """The length that a safetensors file begins with."""
    return rng.choice((0, 1, 7, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little") + content[8:]


def blank(content, rng):
    """White space, which JSON would not mind."""
    at = content.find(b"\n", rng.randrange(len(content)))
    return content[:at] + rng.choice((b" ", b"\t", b"\n")) + content[at:]


MUTATIONS = (cut, flip, insert, remove, repeat, exchange, zero, header, blank)


def mutants(content, n, seed):
    rng = random.Random(seed)
    for _ in range(n):
        mutant = rng.choice(MUTATIONS)(content, rng)
        if mutant != content:
            yield mutant
