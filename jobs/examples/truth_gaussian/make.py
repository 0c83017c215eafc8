#!/usr/bin/env python3
"""Makes the files of truth_gaussian.yaml: a Gaussian prior in 32 dimensions, a matrix of 12 measurements, 16 draws."""
import json
import os
import random
import struct

D, M, N, SEED = 32, 12, 16, 20240710
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
    mean = [0.3 * draw.gauss(0, 1) for _ in range(D)]
    root = [[draw.gauss(0, 1) / D**0.5 for _ in range(D)] for _ in range(D)]
    cov = [[sum(root[i][k] * root[j][k] for k in range(D)) + (0.01 if i == j else 0.0) for j in range(D)] for i in range(D)]
    matrix = [draw.gauss(0, 1) / D**0.5 for _ in range(M * D)]
    x = []
    for _ in range(N):
        noise = [draw.gauss(0, 1) for _ in range(D)]
        small = [0.1 * draw.gauss(0, 1) for _ in range(D)]
        x += [mean[i] + sum(root[i][k] * noise[k] for k in range(D)) + small[i] for i in range(D)]
    write("prior.safetensors", mean=([D], mean), cov=([D, D], [c for row in cov for c in row]))
    write("matrix.safetensors", A=([M, D], matrix))
    write("problem.safetensors", x=([N, D], x))


if __name__ == "__main__":
    main()
