#!/usr/bin/env python3
"""Races `rmp bench net` against PyTorch on the same network, weights, input size and threads.

    python3 tests/bench/race_torch.py --rmp build/release/rmp [--model MODEL] [--size 256] [--threads 2] [--compile]

Needs torch, numpy and safetensors (pip), for networks of diffusers that package too; the project itself does not. MODEL is
an ADM network: a weight file with the description in its metadata (key "rmp"), or formula:CONFIG.json; or a UNet2DModel:
diffusers:CONFIG.json with its constructor's arguments, which gets random weights. What is timed: output and input gradient of the network, as posterior
sampling needs them, weights without gradients, channels-last. The two programs run by turns; the fastest run of each counts.
First both are compared on one input, so that the race is between equal functions.
"""
import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.numpy import load_file, save_file


class Block(torch.nn.Module):
    """Residual block: norm, SiLU, [resample], conv, FiLM or bias, SiLU, conv, skip."""

    def __init__(self, w, name, out, scale_shift, resample=None):
        super().__init__()
        self.w, self.name, self.scale_shift, self.resample = w, name, scale_shift, resample

    def change(self, x):
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.avg_pool2d(x, 2) if self.resample == "down" else x

    def forward(self, x, emb):
        w, n = self.w, self.name
        h = F.silu(F.group_norm(x, 32, w[n + ".in_layers.0.weight"], w[n + ".in_layers.0.bias"], 1e-5))
        h = F.conv2d(self.change(h), w[n + ".in_layers.2.weight"], w[n + ".in_layers.2.bias"], padding=1)
        e = F.linear(F.silu(emb), w[n + ".emb_layers.1.weight"], w[n + ".emb_layers.1.bias"])[:, :, None, None]
        if not self.scale_shift:
            h = h + e
        h = F.group_norm(h, 32, w[n + ".out_layers.0.weight"], w[n + ".out_layers.0.bias"], 1e-5)
        if self.scale_shift:
            scale, shift = e.chunk(2, dim=1)
            h = h * (1 + scale) + shift
        h = F.conv2d(F.silu(h), w[n + ".out_layers.3.weight"], w[n + ".out_layers.3.bias"], padding=1)
        x = self.change(x)
        if n + ".skip_connection.weight" in w:
            k = w[n + ".skip_connection.weight"]
            x = F.conv2d(x, k, w[n + ".skip_connection.bias"], padding=k.shape[-1] // 2)
        return x + h


class Attention(torch.nn.Module):
    def __init__(self, w, name, channels, heads, blocks_order):
        super().__init__()
        self.w, self.name, self.heads, self.blocks_order = w, name, heads, blocks_order

    def forward(self, x, emb):
        w, n = self.w, self.name
        b, c, height, width = x.shape
        h = F.group_norm(x.reshape(b, c, -1), 32, w[n + ".norm.weight"], w[n + ".norm.bias"], 1e-5)
        qkv = F.conv1d(h, w[n + ".qkv.weight"], w[n + ".qkv.bias"])
        d = c // self.heads
        if self.blocks_order:
            q, k, v = (t.reshape(b * self.heads, d, -1) for t in qkv.chunk(3, dim=1))
        else:
            q, k, v = qkv.reshape(b * self.heads, 3 * d, -1).split(d, dim=1)
        s = d**-0.25
        p = torch.softmax(torch.einsum("bct,bcs->bts", q * s, k * s), dim=-1)
        h = torch.einsum("bts,bcs->bct", p, v).reshape(b, c, -1)
        h = F.conv1d(h, w[n + ".proj_out.weight"], w[n + ".proj_out.bias"])
        return x + h.reshape(b, c, height, width)


class Conv(torch.nn.Module):
    def __init__(self, w, name, stride=1, up=False):
        super().__init__()
        self.w, self.name, self.stride, self.up = w, name, stride, up

    def forward(self, x, emb):
        if self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.conv2d(x, self.w[self.name + ".weight"], self.w[self.name + ".bias"], stride=self.stride, padding=1)


class Resample(torch.nn.Module):
    def __init__(self, up):
        super().__init__()
        self.up = up

    def forward(self, x, emb):
        return F.interpolate(x, scale_factor=2, mode="nearest") if self.up else F.avg_pool2d(x, 2)


class Unet(torch.nn.Module):
    """guided-diffusion's UNetModel, written from its published description (Dhariwal & Nichol 2021)."""

    def __init__(self, a, w):
        super().__init__()
        self.w, self.mc = w, a["model_channels"]
        mult, blocks, mc = a["channel_mult"], a["num_res_blocks"], a["model_channels"]
        at, ss, ud = set(a["attention_resolutions"]), a.get("use_scale_shift_norm", False), a.get("resblock_updown", False)

        def heads(c, up):
            if a.get("num_head_channels", -1) != -1:
                return c // a["num_head_channels"]
            return a.get("num_heads_upsample", -1) if up and a.get("num_heads_upsample", -1) != -1 else a.get("num_heads", 1)

        order = a.get("use_new_attention_order", False)
        resample = a.get("conv_resample", True)
        self.down, self.up = torch.nn.ModuleList(), torch.nn.ModuleList()
        self.down.append(torch.nn.ModuleList([Conv(w, "input_blocks.0.0")]))
        ch, ds, n = mult[0] * mc, 1, 1
        chans = [ch]
        for level, m in enumerate(mult):
            for _ in range(blocks):
                layers = [Block(w, f"input_blocks.{n}.0", m * mc, ss)]
                ch = m * mc
                if ds in at:
                    layers.append(Attention(w, f"input_blocks.{n}.1", ch, heads(ch, False), order))
                self.down.append(torch.nn.ModuleList(layers))
                chans.append(ch)
                n += 1
            if level != len(mult) - 1:
                name = f"input_blocks.{n}.0"
                last = Block(w, name, ch, ss, "down") if ud else (Conv(w, name + ".op", stride=2) if resample else Resample(False))
                self.down.append(torch.nn.ModuleList([last]))
                chans.append(ch)
                n += 1
                ds *= 2
        self.middle = torch.nn.ModuleList([Block(w, "middle_block.0", ch, ss), Attention(w, "middle_block.1", ch, heads(ch, False), order),
                                           Block(w, "middle_block.2", ch, ss)])
        n = 0
        for level, m in reversed(list(enumerate(mult))):
            for i in range(blocks + 1):
                chans.pop()
                layers = [Block(w, f"output_blocks.{n}.0", m * mc, ss)]
                ch = m * mc
                if ds in at:
                    layers.append(Attention(w, f"output_blocks.{n}.1", ch, heads(ch, True), order))
                if level and i == blocks:
                    name = f"output_blocks.{n}.{len(layers)}"
                    layers.append(Block(w, name, ch, ss, "up") if ud else (Conv(w, name + ".conv", up=True) if resample else Resample(True)))
                    ds //= 2
                self.up.append(torch.nn.ModuleList(layers))
                n += 1

    def forward(self, x, t):
        w, half = self.w, self.mc // 2
        f = torch.exp(-math.log(10000) * torch.arange(half) / half)[None] * t[:, None]
        emb = torch.cat([torch.cos(f), torch.sin(f)], dim=1)
        emb = F.linear(emb, w["time_embed.0.weight"], w["time_embed.0.bias"])
        emb = F.linear(F.silu(emb), w["time_embed.2.weight"], w["time_embed.2.bias"])
        saved, h = [], x
        for layers in self.down:
            for layer in layers:
                h = layer(h, emb)
            saved.append(h)
        for layer in self.middle:
            h = layer(h, emb)
        for layers in self.up:
            h = torch.cat([h, saved.pop()], dim=1)
            for layer in layers:
                h = layer(h, emb)
        h = F.silu(F.group_norm(h, 32, w["out.0.weight"], w["out.0.bias"], 1e-5))
        return F.conv2d(h, w["out.2.weight"], w["out.2.bias"], padding=1)


def fnv(name):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 % 2**64
    return h


def formula(name, shape, a, b):
    with np.errstate(over="ignore"):
        i = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
        z = np.uint64(fnv(name)) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    r = 2 * ((z >> np.uint64(40)).astype(np.float64) * 2.0**-24) - 1
    return (b + a * r).astype(np.float32).reshape(shape)


class Diffusers(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, x, t):
        return self.unet(x, t, return_dict=False)[0]


def load_diffusers(config, folder):
    """A UNet2DModel with random weights, saved to the folder as people download it."""
    import safetensors.torch  # diffusers uses it without an import of its own
    from diffusers import DDPMScheduler, ScoreSdeVeScheduler, UNet2DModel

    torch.manual_seed(0)
    net = UNet2DModel.from_config({"_class_name": "UNet2DModel", **json.load(open(config))})
    net.save_pretrained(folder)
    scheduler = ScoreSdeVeScheduler if net.config.time_embedding_type == "fourier" else DDPMScheduler
    scheduler().save_pretrained(folder)
    return Diffusers(net)


def load_adm(model):
    if model.startswith("formula:"):
        config = json.load(open(model[8:]))
        if "parameters" not in config:
            sys.exit("formula: the race needs a CONFIG.json with the list of parameters (tests/fixtures)")
        arguments = config["arguments"]
        weights = {p["name"]: formula(p["name"], p["shape"], p["a"], p["b"]) for p in config["parameters"]}
    else:
        with safe_open(model, "np") as f:
            arguments = json.loads(f.metadata()["rmp"])["arguments"]
            weights = {k: f.get_tensor(k).astype(np.float32) for k in f.keys()}
    w = {k: torch.from_numpy(v).requires_grad_(False) for k, v in weights.items()}
    w = {k: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in w.items()}
    return Unet(arguments, w)


def gradient(net, x, t, v):
    x = x.detach().requires_grad_(True)
    y = net(x, t)
    (y[:, :3] * v).sum().backward()
    return y.detach(), x.grad


def check(args, net, x, t, v):
    """The largest relative difference of y and g between the two programs."""
    with tempfile.TemporaryDirectory() as folder:
        save_file({"x": np.ascontiguousarray(x.numpy()), "t": t.numpy(), "v": np.ascontiguousarray(v.numpy())}, folder + "/in.safetensors")
        subprocess.run([args.rmp, "model", "eval", args.model, "--input", folder + "/in.safetensors", "--output",
                        folder + "/out.safetensors", "--threads", str(args.threads)], check=True)
        mine = load_file(folder + "/out.safetensors")
    y, g = gradient(net, x, t, v)
    return max(float(np.linalg.norm(a - b.numpy()) / np.linalg.norm(b.numpy())) for a, b in ((mine["y"], y), (mine["g"], g)))


def time_torch(net, x, t, v, repeat):
    best = [math.inf, math.inf]
    for _ in range(repeat):
        with torch.inference_mode():
            start = time.perf_counter()
            net(x, t)
            best[0] = min(best[0], time.perf_counter() - start)
        start = time.perf_counter()
        gradient(net, x, t, v)
        best[1] = min(best[1], time.perf_counter() - start)
    return best


def time_rmp(args):
    out = subprocess.run([args.rmp, "bench", "net", args.model, "--size", f"{args.size}x{args.size}", "--threads", str(args.threads),
                          "--repeat", str(args.repeat)], check=True, capture_output=True, text=True).stdout
    forward = float(re.search(r"^forward +([\d.]+) ms", out, re.M).group(1))
    vjp = float(re.search(r"^VJP +([\d.]+) ms", out, re.M).group(1))
    keeping = float(re.search(r"VJP reads: ([\d.]+) ms", out).group(1))
    return [forward / 1e3, (keeping + vjp) / 1e3], out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rmp", default="build/release/rmp")
    p.add_argument("--model", default="jobs/models/photo64.safetensors")
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--t", type=float, default=250, help="what the network is told of the noise")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--repeat", type=int, default=2, help="runs of each program in a round")
    p.add_argument("--compile", action="store_true", help="also torch.compile (needs a C++ compiler)")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    folder = tempfile.TemporaryDirectory()
    if args.model.startswith("diffusers:"):
        net = load_diffusers(args.model[len("diffusers:"):], folder.name).eval()
        args.model = folder.name
    else:
        net = load_adm(args.model).eval()
    rng = np.random.default_rng(0)
    image = lambda: torch.from_numpy(rng.standard_normal((1, 3, args.size, args.size), dtype=np.float32))
    x, v, t = image(), image(), torch.tensor([args.t])
    print(f"largest relative difference of y and g: {check(args, net, x, t, v):.1e}")
    x, v = x.contiguous(memory_format=torch.channels_last), v.contiguous(memory_format=torch.channels_last)

    entrants = {"torch eager": net}
    if args.compile:
        entrants["torch compile"] = torch.compile(net)
    best = {name: [math.inf, math.inf] for name in [*entrants, "rmp"]}
    for name, entrant in entrants.items():
        time_torch(entrant, x, t, v, 1)  # compiles, warms up
    for _ in range(args.rounds):
        for name, entrant in entrants.items():
            best[name] = [min(a, b) for a, b in zip(best[name], time_torch(entrant, x, t, v, args.repeat))]
        mine, text = time_rmp(args)
        best["rmp"] = [min(a, b) for a, b in zip(best["rmp"], mine)]
    print(text)
    print(f"{'':16} {'forward':>10} {'ratio':>6} {'forward+gradient':>18} {'ratio':>6}")
    for name, (f, b) in best.items():
        print(f"{name:16} {f * 1e3:8.1f} ms {f / best['rmp'][0]:6.2f} {b * 1e3:15.1f} ms {b / best['rmp'][1]:6.2f}")


if __name__ == "__main__":
    main()
