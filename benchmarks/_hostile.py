"""The attacks of ``hostile.py``: each alters a copy of a template and says how to try it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
OUT = ("--out", "new")
QUICK = ("--epochs", "1", "--set", "hidden=4", "--set", "latent_dim=2")


@dataclass
class Attack:
    """How an altered file is tried, and what is right then.

    Attributes:
        arguments: of the program.
        codes: exit codes that are right.
        harm: says what was harmed in the folder, ``None`` for nothing.
        environment: variables to set.
    """

    arguments: list[str]
    codes: tuple[int, ...] = (2,)
    harm: Callable[[Path], str | None] | None = None
    environment: dict[str, str] = field(default_factory=dict)


def made(folder: Path) -> Path:
    """Makes the template: ``x.npy``, a complete run ``run``, and ``stopped`` with two checkpoints."""
    from autoencode.runs import train
    from autoencode.training import Observer

    class Stop(Observer):
        def __init__(self) -> None:
            self.now = False

        def step(self, step: int) -> None:
            self.now = step >= 5

        def stop(self) -> bool:
            return self.now

    folder.mkdir()
    x = folder / "x.npy"
    np.save(x, np.random.default_rng(0).random((40, 5)).astype(np.float32))
    figures: dict[str, Any] = {"epochs": 4, "batch_size": 10, "hidden": (4,), "latent_dim": 2}
    train(x, "mlp", out=folder / "run", **figures)
    train(x, "mlp", out=folder / "stopped", observer=Stop(), checkpoint_seconds=0.0, **figures)
    (folder / "victim").mkdir()
    (folder / "victim" / "thesis.txt").write_text("thesis")
    return folder


def sealed(path: Path, **changes: Any) -> None:
    """Alters a sealed file, with a seal that fits."""
    from autoencode.files.sealed import seal

    facts = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    path.write_bytes(seal(facts | changes))


def weights(run: Path, content: bytes) -> None:
    """Replaces the weights of a run, with a checksum that fits."""
    (run / "model.safetensors").write_bytes(content)
    sealed(run / "config.json", weights_sha256=hashlib.sha256(content).hexdigest())


def train(source: str, *more: str) -> list[str]:
    return ["train", source, *QUICK, *OUT, *more]


def embed(source: str) -> list[str]:
    return ["embed", "run", source, "-o", "codes.npy"]


def choose(rng: Rng, items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


# 1: paths that a file names


def paths(folder: Path, rng: Rng, i: int) -> Attack:
    def harm(place: Path) -> str | None:
        thesis = place / "victim" / "thesis.txt"
        whole = thesis.is_file() and thesis.read_text() == "thesis" and (place / "x.npy").is_file()
        return None if whole else "a neighbour was removed"

    if i % 4 == 3:
        inside = choose(rng, ["resume", "resume/lock", "history.jsonl", "plots"])
        place = folder / "stopped" / inside
        if place.is_dir():
            shutil.copytree(place, folder / "elsewhere")
            shutil.rmtree(place)
            place.symlink_to(folder / "elsewhere")
        else:
            place.unlink(missing_ok=True)
            place.symlink_to(folder / "victim" / "thesis.txt")
    else:
        known = ["victim", "", ".", "..", "/", "victim/.", "./victim", "\0", "x.npy", "run", ".old"]
        known += ["." + "0" * 31 + ".old", "." + "0" * 32 + ".old/../victim", "." + "A" * 32 + ".old"]
        sealed(folder / "stopped/resume/run.json", replaces=choose(rng, known), recipe="nope")
    return Attack(["train", "--resume", "stopped"], harm=harm)


# 2: Arrow


def arrow(folder: Path, rng: Rng, i: int) -> Attack:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.ipc

    words = pa.table({"c": ["red", "green", "blue"] * 20, "v": list(range(60))})
    if rng.random() < 0.3:
        words = words.append_column("d", pa.array(["a", "b", "c"] * 20).dictionary_encode())
    buffer, ending = io.BytesIO(), choose(rng, ["feather", "arrow"])
    packing = choose(rng, ["uncompressed", "uncompressed", "lz4", "zstd"])
    if rng.random() < 0.3:
        with pa.ipc.new_stream(buffer, words.schema) as writer:
            writer.write_table(words)
    else:
        pa.feather.write_feather(words, buffer, compression=packing)
    content = bytearray(buffer.getvalue())
    at = bytes(content).find(np.array([0, 3, 8, 12], "<i4").tobytes())
    codes = (2,)
    if at >= 0 and i % 2 == 0:
        value = choose(rng, [2**30, -1, -(2**31), 2**31 - 1, 1])
        content[at + 8 : at + 12] = struct.pack("<i", value)
    elif at >= 0 and i % 4 == 1:
        content[bytes(content).find(b"redgreen")] = int(rng.integers(128, 256))
    else:
        codes = (0, 2)
        for place in rng.integers(0, len(content), rng.integers(1, 8)):
            content[place] = rng.integers(256)
    (folder / f"a.{ending}").write_bytes(content)
    return Attack(train(f"a.{ending}") if rng.random() < 0.7 else embed(f"a.{ending}"), codes)


# 3: small files that take all memory


def memory(folder: Path, rng: Rng, i: int) -> Attack:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    n = int(rng.integers(15, 40)) * 10**6
    kind = i % 10
    if kind == 0:
        rows = 10 * n
        header = io.BytesIO()
        facts = {"descr": "<f8", "fortran_order": False, "shape": (rows, 1)}
        np.lib.format.write_array_header_1_0(header, facts)
        with (
            zipfile.ZipFile(folder / "b.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("x.npy", "w", force_zip64=True) as file,
        ):
            file.write(header.getvalue())
            for _ in range(8 * rows // 10**7):
                file.write(bytes(10**7))
        return Attack(train("b.npz"))
    if kind == 1:
        table = pa.table({name: pa.array(np.full(n, 1.5)) for name in "ab"})
        pa.parquet.write_table(table, folder / "b.parquet", compression="zstd")
        return Attack(train("b.parquet") if rng.random() < 0.5 else embed("b.parquet"), (2,))
    if kind == 2:
        zeros = pa.table({"v": np.zeros(2 * n)})
        pa.feather.write_feather(zeros, folder / "b.feather", compression="zstd")
        return Attack(train("b.feather"), (2,))
    if kind == 3:
        import zarr

        path = folder / "b.zarr"
        zarr.create_array(path, shape=(100, 16), chunks=(10, 16), dtype="f4")
        facts = json.loads((path / "zarr.json").read_text())
        facts["shape"] = choose(rng, [[2**40, 16], [10**9, 16], [2**62, 2**62], [10**8, 10**4]])
        (path / "zarr.json").write_text(json.dumps(facts))
        return Attack(choose(rng, [train("b.zarr"), train("b.zarr", "--stream"), embed("b.zarr")]))
    if kind in (4, 5):
        member = tarfile.TarInfo("a.png")
        member.size = 100 * n
        if kind == 4:
            with gzip.open(folder / "b.tar", "wb", compresslevel=1) as packed:
                packed.write(member.tobuf() + bytes(10**7))
        else:
            member.size = 0
            member.pax_headers = {"GNU.sparse.size": str(100 * n), "GNU.sparse.map": f"0,0,{100 * n},0"}
            with tarfile.open(folder / "b.tar", "w", format=tarfile.PAX_FORMAT) as archive_:
                archive_.addfile(member, io.BytesIO())
        return Attack(train("b.tar"))
    if kind == 6:
        name = choose(rng, ["model.safetensors", "config.json"])
        (folder / "run" / name).unlink()
        (folder / "run" / name).symlink_to("/dev/zero")
        return Attack(embed("x.npy"))
    if kind == 7:
        size = int(2 ** rng.integers(22, 30))
        return Attack(["train", "x.npy", *OUT, "--set", f"latent_dim={size}"])
    if kind == 8:
        words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n // 1000, np.int32)), ["x" * 10**6])
        pa.parquet.write_table(pa.table({"c": words}), folder / "b.parquet", compression="zstd")
        return Attack(train("b.parquet"))
    with (folder / "b.csv").open("wb") as holes:
        holes.truncate(100 * n)
    return Attack(train("b.csv"))


# 4: what is no file


def hangs(folder: Path, rng: Rng, i: int) -> Attack:
    names = ["npy", "npz", "csv", "tsv", "parquet", "feather", "arrow", "tar"]
    inside = [
        "run/model.safetensors",
        "run/config.json",
        "run/history.jsonl",
        "stopped/resume/run.json",
    ]
    inside += ["stopped/resume/lock"]
    name = f"p.{names[i % len(names)]}" if i < 12 else inside[i % len(inside)]
    path = folder / name
    path.unlink(missing_ok=True)
    kind = choose(rng, ["pipe", "device", "socket"])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to(choose(rng, ["/dev/zero", "/dev/random", "/dev/null"]))
    else:
        with socket.socket(socket.AF_UNIX) as end:
            here = Path.cwd()
            os.chdir(path.parent)  # the name of a socket is short
            end.bind(path.name)
            os.chdir(here)
    if name.startswith("run"):
        kind_ = ["plot", "run", "--kind", "loss"] if "history" in name else embed("x.npy")
        return Attack(kind_, (0, 2))
    if name.startswith("stopped"):
        return Attack(["train", "--resume", "stopped"], (0, 2))
    return Attack(choose(rng, [train(name), embed(name)]))


# 5: tracebacks


def shard(path: Path, headers: dict[str, str], pack: Callable[[bytes], bytes] | None = None) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(3):
            image = io.BytesIO()
            Image.fromarray(np.full((8, 8), 80 * number, np.uint8)).save(image, "png")
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(image.getvalue())
            member.pax_headers = headers if number == 1 else {}
            archive.addfile(member, io.BytesIO(image.getvalue()))
    path.write_bytes(buffer.getvalue() if pack is None else pack(buffer.getvalue()))


def _wrong_crc(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 1
    return bytes(packed)


def tracebacks(folder: Path, rng: Rng, i: int) -> Attack:
    kind = i % 7
    if kind == 0:
        (folder / "h.csv").write_text("a" * int(rng.integers(131_073, 900_000)) + ",b\n1,2\n3,4\n")
        return Attack(train("h.csv") if rng.random() < 0.5 else embed("h.csv"))
    if kind == 1:
        shard(folder / "s.tar", {}, choose(rng, [_wrong_crc, lambda c: gzip.compress(c)[:-20]]))
        return Attack(train("s.tar"))
    if kind == 2:
        value = choose(rng, ["x", "-1", "9" * 40, "", "1e9"])
        shard(folder / "s.tar", {"GNU.sparse.size": value, "GNU.sparse.map": "0,1"})
        return Attack(train("s.tar"))
    if kind == 3:
        shard(folder / "s.tar", {"path": choose(rng, ["a\0b.png", "\0.png", "a" * 9000 + ".png"])})
        return Attack(train("s.tar"))
    if kind == 4:
        import zarr

        path = folder / "x.zarr"
        zarr.create_array(path, shape=(100, 5), chunks=(10, 5), dtype="f4")[:] = 1.0
        facts = json.loads((path / "zarr.json").read_text())
        facts["shape"] = choose(rng, [[2**62, 2**62], [-1, 5], ["x", 5], [], [2**63, 5], [100]])
        (path / "zarr.json").write_text(json.dumps(facts))
        return Attack(embed("x.zarr"))
    if kind == 5:
        lines = ['{"epoch": "x", "loss": "y"}', '{"epoch": 1, "loss": [1, {"a": 2}]}', "[[[["]
        lines += ['{"epoch": 1, "loss": %s}' % ("9" * 400), '{"epoch": {}, "loss": null}', "null"]
        (folder / "run/history.jsonl").write_text("\n".join(rng.choice(lines, 3)) + "\n")
        return Attack(["plot", "run", "--kind", "loss"], (0, 2))
    word = bytes(rng.integers(128, 192, 20, np.uint8))  # no UTF-8 begins so
    (folder / "t.csv").write_bytes(b"a,b\n" + word + b",2\n3,4\n")
    return Attack(train("t.csv"))


# 6: what a terminal obeys

ESCAPES = ["\x1b]0;pwn\x07\x1b[2J", "\x9b2J", "\u202eexe", "\x1b[31m\x7f", "\r\nforged", "\x08\x08"]


def escapes(folder: Path, rng: Rng, i: int) -> Attack:
    evil = choose(rng, ESCAPES)
    kind = i % 6
    if kind == 0:
        (folder / "e.csv").write_text(f'"{evil}",b\n1,2\n3,4\n', newline="")
        return Attack(train("e.csv", "--label", "nope"))
    if kind == 1:
        sealed(folder / "run/config.json", **{choose(rng, ["format_version", "recipe"]): evil})
        return Attack(choose(rng, [embed("x.npy"), ["evaluate", "run"], ["plot", "run"]]))
    if kind == 2:
        import safetensors.torch

        tensors = safetensors.torch.load((folder / "run/model.safetensors").read_bytes())
        name = next(iter(tensors))
        tensors[name + evil] = tensors.pop(name)
        weights(folder / "run", safetensors.torch.save(tensors))
        return Attack(embed("x.npy"))
    if kind == 3:
        plain = evil.replace("\r\n", "\n")
        (folder / "run").rename(folder / f"r{plain}")
        return Attack(["runs", "."], (0,))
    if kind == 4:
        words = [evil.replace("\r\n", "") if k % 2 else "plain" for k in range(60)]
        rows = "".join(f"{rng.random()},{word},{k % 3}\n" for k, word in enumerate(words))
        (folder / "e.csv").write_text(f"a,{words[1]}b,c\n{rows}", newline="")
        return Attack(["anomalies", "e.csv", "--quiet", "--report", "page.html"], (0,))
    return Attack([*train("x.npy"), choose(rng, ["--set", "--recipe"]), f"{evil}=1"])


# 7: accepted in silence


def silence(folder: Path, rng: Rng, i: int) -> Attack:
    import safetensors.torch
    import torch

    kind, content = i % 5, (folder / "run/model.safetensors").read_bytes()
    tensors = safetensors.torch.load(content)
    if kind == 0:
        name = choose(rng, sorted(tensors))
        others = [torch.float64, torch.float16, torch.int64, torch.complex64, torch.bfloat16]
        weights(
            folder / "run",
            safetensors.torch.save(tensors | {name: tensors[name].to(choose(rng, others))}),
        )
        return Attack(embed("x.npy"))
    if kind == 1:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        first = json.dumps({(name := choose(rng, sorted(header))): header[name]})[1:-1]
        text = ("{" + first + "," + json.dumps(header)[1:]).encode()
        weights(folder / "run", len(text).to_bytes(8, "little") + text + content[8 + length :])
        return Attack(embed("x.npy"))
    if kind == 2:
        texts = ["[1,2", "1,2]", "[" * 100_000, "(1,2]", "[[1,2]]", "1,,2", ")", "[", "1;2"]
        return Attack(["train", "x.npy", *OUT, "--set", f"hidden={choose(rng, texts)}"])
    if kind == 3:
        np.save(folder / "c.npy", np.full((40, 4), choose(rng, [2**62, 1, 0.5, True, -3.0])))
        return Attack(train("c.npy", *choose(rng, [(), ("--stream",)])))
    path = folder / "run/config.json"
    path.write_text(path.read_text().replace("{", '{\n  "recipe": "vae",', 1))
    return Attack(embed("x.npy"))


# 8: messages


def messages(folder: Path, rng: Rng, i: int) -> Attack:
    kind = i % 5
    if kind == 0:
        sizes = ",".join(str(int(10 ** rng.integers(8, 10))) for _ in range(rng.integers(2, 5)))
        return Attack(["train", "x.npy", *OUT, "--set", f"hidden={sizes}"], harm=_names("parameters"))
    if kind == 1:
        lines = ["a,b,c"] + ["1,2,3"] * 50
        at = int(rng.integers(2, 51))
        lines[at - 1] = choose(rng, ["4,5", "4,5,6,7", "4"])
        (folder / "r.csv").write_text("\n".join(lines) + "\n")
        return Attack(train("r.csv"), harm=_names(f"line {at}:"))
    if kind == 2:
        options = json.loads((folder / "run/config.json").read_text())["options"]
        sealed(
            folder / "run/config.json",
            options=options | {"hidden": [8] * int(rng.integers(2000, 200_000))},
        )
        return Attack(embed("x.npy"))
    long = choose(rng, ["a", "x,", "é", "日"]) * int(rng.integers(300, 20_000))
    if kind == 3:
        return Attack([*train("x.npy"), *choose(rng, [("--recipe", long), ("--set", f"{long}=1")])])
    return Attack(choose(rng, [train(long), [long], ["runs", long], train("x.npy", "--layout", long)]))


def _names(text: str) -> Callable[[Path], str | None]:
    return lambda folder: (
        None if text in (folder / "stderr.txt").read_text() else f"the line does not say {text!r}"
    )


# 9: a checkpoint that cannot be read


def checkpoints(folder: Path, rng: Rng, i: int) -> Attack:
    newest = sorted((folder / "stopped/resume").glob("0*.json"))[-1]
    path = newest.with_suffix(choose(rng, [".json", ".safetensors"]))
    size = path.stat().st_size
    path.unlink()
    kind = i % 6
    if kind == 0:
        (path / "inside").mkdir(parents=True)
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(choose(rng, [path.name, "/dev/zero", "nowhere"]))
    elif kind == 3:
        path.write_bytes(rng.bytes(int(rng.integers(0, size))))
    elif kind == 4:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    else:
        path.write_bytes(b"[" * 200_000)

    def harm(place: Path) -> str | None:
        return None if (place / "stopped/metrics.json").is_file() else "the run did not go on"

    return Attack(["train", "--resume", "stopped"], (0,), harm)


KINDS: dict[str, Callable[[Path, Rng, int], Attack]] = {
    "paths": paths,
    "arrow": arrow,
    "memory": memory,
    "hangs": hangs,
    "tracebacks": tracebacks,
    "escapes": escapes,
    "silence": silence,
    "messages": messages,
    "checkpoints": checkpoints,
}
