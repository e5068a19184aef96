"""Makes tests/golden/noise.json: test vectors for the noise that a seed stands for.

Pure Python, written from the description in src/engine/noise.rs alone, so that it checks the
description too. Run from the root of the repository: python3 scripts/golden/noise.py
"""

import json
import math
import struct

MASK = 0xFFFFFFFF

# Random123's kat_vectors for philox4x32-10: counter, key, words.
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([MASK] * 4, [MASK] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]

# (seed, candidate, draw)
KEYS = [
    (0, 0, 0),
    (1, 0, 0),
    (42, 0, 0),
    (42, 1, 0),
    (42, 0, 1),
    (2**32 + 42, 3, 7),
    (2**64 - 1, MASK, MASK),
]


def philox(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [c0, c1, c2, c3]


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def element(seed, candidate, draw, index):
    block, lane = divmod(index, 4)
    words = philox([block & MASK, block >> 32, draw, candidate], [seed & MASK, seed >> 32])
    u = [(word + 0.5) / 2**32 for word in words]
    u_radius, u_angle = u[2 * (lane // 2)], u[2 * (lane // 2) + 1]
    wave = math.sin if lane % 2 else math.cos
    return single(math.sqrt(-2 * math.log(u_radius)) * wave(2 * math.pi * u_angle))


def gaussian(seed, draw, n):
    """The first numbers of the first picture's draw."""
    return [element(seed, 0, draw, i) for i in range(n)]


def main():
    for counter, key, words in KNOWN_ANSWERS:
        assert philox(counter, key) == words, (counter, key)
    vectors = [
        {
            "seed": seed,
            "candidate": candidate,
            "draw": draw,
            "gaussian": [element(seed, candidate, draw, i) for i in range(10)],
        }
        for seed, candidate, draw in KEYS
    ]
    golden = {
        "made_by": "scripts/golden/noise.py",
        "generator": "Philox4x32-10, Box-Muller; see src/engine/noise.rs",
        "vectors": vectors,
    }
    with open("tests/golden/noise.json", "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
