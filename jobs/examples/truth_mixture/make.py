#!/usr/bin/env python3
"""Makes the files of truth_mixture.yaml and truth_bimodal.yaml: 8 components in 16 dimensions, their means drawn with
standard deviation 2, 32 draws. Components of standard deviation 0.5 and 6 measurements; or, for posteriors with several
modes, of 0.2 and 2 measurements that cannot tell all components apart."""
import json
import os
import random
import struct

K, D, N, SEED = 8, 16, 32, 20240711
HERE = os.path.dirname(os.path.abspath(__file__))


def write(name, **tensors):
    """A safetensors file; each tensor is (shape, flat list), stored as float32."""
    header, data = {}, b""
    for key, (shape, values) in tensors.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main():
    draw = random.Random(SEED)
    means = [2.0 * draw.gauss(0, 1) for _ in range(K * D)]
    for suffix, deviation, m, entry in (("", 0.5, 6, 1.0), ("_bimodal", 0.2, 2, 0.25)):
        write(f"matrix{suffix}.safetensors", A=([m, D], [entry * draw.gauss(0, 1) for _ in range(m * D)]))
        cov = [deviation**2 if i == j else 0.0 for i in range(D) for j in range(D)]
        x = []
        for _ in range(N):
            k = draw.randrange(K)
            x += [means[k * D + i] + deviation * draw.gauss(0, 1) for i in range(D)]
        write(f"prior{suffix}.safetensors", weights=([K], [1.0 / K] * K), means=([K, D], means), covs=([K, D, D], cov * K))
        write(f"problem{suffix}.safetensors", x=([N, D], x))


if __name__ == "__main__":
    main()
