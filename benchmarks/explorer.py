"""The explorer's page in Chromium: its size, when it is ready, how long it decodes and draws.

The page of all 70 000 digits of MNIST is opened from disk with the network off. Drawing goes by
software.

    python benchmarks/explorer.py RUN [--rounds 5] [--picture docs/images/explorer.png]

RUN is a run on MNIST with two latent dimensions: ``autoencode train mnist --recipe vae --epochs 2 --set
latent_dim=2``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _record import record, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))
from autoencode import explore, load_trained
from autoencode.export import onnx_bytes
from chromium import Opened, browser

READY, DECODE, SIZE, MOVES = 2000, 16, 10_000_000, 61  # ms, ms, bytes: the goals; moves of the cursor

WATCH = """async () => {
  const decoder = await explorer.decoder;
  const inner = decoder.decode.bind(decoder);
  window.seen = [];
  decoder.decode = async (z, label) => {
    const start = performance.now();
    const x = await inner(z, label);
    window.seen.push({ z: Array.from(z), x: Array.from(x), ms: performance.now() - start });
    return x;
  };
}"""

PAN = """async () => {
  const { map } = explorer;
  const times = [];
  for (let i = 0; i < 60; i++) {
    const view = { ...map.view, x: map.view.x + 0.01 };
    const start = performance.now();
    explorer.store.set({ view });
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    times.push((performance.now() - start) / 2);
  }
  return times;
}"""


def measured(page: Opened, session: Any, scale: float) -> dict[str, float]:
    """Moves the cursor and the map of a page that was just opened."""
    found = {"ready_ms": float(page.page.get_attribute("#explorer", "data-ready") or "nan")}
    page.page.wait_for_selector(".dials[data-decodes]")
    found["decoder_ms"] = page.run("performance.now()")
    page.run(WATCH)
    start = page.pixel_of(page.run("explorer.store.state.z"))
    page.page.mouse.move(*start)
    page.page.mouse.down()
    page.page.wait_for_timeout(200)
    page.run("() => { window.seen = []; }")
    page.page.mouse.move(start[0] + 183, start[1] - 122, steps=MOVES)
    page.page.mouse.up()
    page.page.wait_for_timeout(500)
    seen = page.run("window.seen")
    z = np.array([one["z"] for one in seen], np.float32)
    wanted = session.run(None, {"z": z})[0].reshape(len(z), -1)
    made = np.array([one["x"] for one in seen])
    found["decodes"] = len(seen)
    found["decode_ms"] = statistics.median(one["ms"] for one in seen)
    found["slowest_decode_ms"] = max(one["ms"] for one in seen)
    found["difference"] = float(np.abs(made - wanted).max() / scale)
    found["pan_frame_ms"] = statistics.median(page.run(PAN))
    found["requests"] = len(page.outside)
    return found


def photographed(chromium: Any, path: Path, picture: str) -> None:
    """Writes the picture of the documentation: the map under decoded images."""
    page = Opened(chromium, path, width=1000, height=640)
    page.page.wait_for_selector(".dials[data-decodes]")
    page.run("explorer.store.set({ grid: true, pinned: 60007, z: explorer.points.code(60007) })")
    page.page.wait_for_timeout(3000)
    page.page.screenshot(path=picture)
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture")
    options = parser.parse_args()
    import onnxruntime

    trained = load_trained(options.run)
    session = onnxruntime.InferenceSession(
        onnx_bytes(trained, "decoder"), providers=["CPUExecutionProvider"]
    )
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        start = time.perf_counter()
        explorer = explore(options.run)
        path = explorer.to_html(Path(folder) / "page.html")
        written = time.perf_counter() - start
        rounds = []
        for _ in range(options.rounds):
            page = Opened(chromium, path)
            rounds.append(measured(page, session, trained.spec.scale[0]))
            page.close()
        if options.picture:
            photographed(chromium, path, options.picture)
        size = path.stat().st_size
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    points = explorer.scene.head["n"]
    row = {"points": points, "bytes": size, "write_s": written, "rounds": rounds, **middle}
    record("explorer", row)
    lines = [
        ["figure", "found", "goal"],
        ["points", f"{points:,}", ""],
        ["file, MB", f"{size / 1e6:.2f}", f"{SIZE / 1e6:g}"],
        ["requests to the network", f"{middle['requests']:.0f}", "0"],
        ["points drawn after, ms", f"{middle['ready_ms']:.0f}", f"{READY}"],
        ["first decode after, ms", f"{middle['decoder_ms']:.0f}", ""],
        [f"decodes of {MOVES} moves", f"{middle['decodes']:.0f}", f"{MOVES}"],
        ["decode, ms", f"{middle['decode_ms']:.2f}", f"{DECODE}"],
        ["from onnxruntime at most", f"{middle['difference']:.1e}", "1e-05"],
        ["frame of a moving map, ms", f"{middle['pan_frame_ms']:.1f}", ""],
        ["page written in, s", f"{written:.1f}", ""],
    ]
    print(table(lines))


if __name__ == "__main__":
    main()
