#!/usr/bin/env python3
"""Makes the files of the ground-truth examples: priors whose posterior mean is known, a matrix, draws from the prior.

truth_gaussian.yaml: a Gaussian prior in 32 dimensions, 12 measurements, 16 draws.
truth_mixture.yaml, truth_bimodal.yaml: 8 components in 16 dimensions, their means drawn with standard deviation 2, 32
draws. Components of standard deviation 0.5 and 6 measurements; or, for posteriors with several modes, of 0.2 and 2
measurements that cannot tell all components apart."""
import json
import os
import random
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def write(folder, name, **tensors):
    """A safetensors file; each tensor is (shape, flat list), stored as float32."""
    header, data = {}, b""
    for key, (shape, values) in tensors.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, folder, name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def gaussian(seed=20240710, d=32, m=12, n=16):
    draw = random.Random(seed)
    mean = [0.3 * draw.gauss(0, 1) for _ in range(d)]
    root = [[draw.gauss(0, 1) / d**0.5 for _ in range(d)] for _ in range(d)]
    cov = [[sum(root[i][k] * root[j][k] for k in range(d)) + (0.01 if i == j else 0.0) for j in range(d)] for i in range(d)]
    matrix = [draw.gauss(0, 1) / d**0.5 for _ in range(m * d)]
    x = []
    for _ in range(n):
        noise = [draw.gauss(0, 1) for _ in range(d)]
        small = [0.1 * draw.gauss(0, 1) for _ in range(d)]
        x += [mean[i] + sum(root[i][k] * noise[k] for k in range(d)) + small[i] for i in range(d)]
    write("truth_gaussian", "prior.safetensors", mean=([d], mean), cov=([d, d], [c for row in cov for c in row]))
    write("truth_gaussian", "matrix.safetensors", A=([m, d], matrix))
    write("truth_gaussian", "problem.safetensors", x=([n, d], x))


def mixtures(seed=20240711, k=8, d=16, n=32):
    draw = random.Random(seed)
    means = [2.0 * draw.gauss(0, 1) for _ in range(k * d)]
    for suffix, deviation, m, entry in (("", 0.5, 6, 1.0), ("_bimodal", 0.2, 2, 0.25)):
        matrix = [entry * draw.gauss(0, 1) for _ in range(m * d)]
        cov = [deviation**2 if i == j else 0.0 for i in range(d) for j in range(d)]
        x = []
        for _ in range(n):
            of = draw.randrange(k)
            x += [means[of * d + i] + deviation * draw.gauss(0, 1) for i in range(d)]
        write("truth_mixture", f"matrix{suffix}.safetensors", A=([m, d], matrix))
        write("truth_mixture", f"prior{suffix}.safetensors", weights=([k], [1.0 / k] * k), means=([k, d], means),
              covs=([k, d, d], cov * k))
        write("truth_mixture", f"problem{suffix}.safetensors", x=([n, d], x))


if __name__ == "__main__":
    gaussian()
    mixtures()
