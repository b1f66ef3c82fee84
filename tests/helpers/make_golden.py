"""Writes the model that later versions must still load; run once for each format, never again.

python tests/helpers/make_golden.py
"""

from pathlib import Path

import numpy as np

from autoencode.runs import train
from autoencode.trained.model_files import FORMAT_VERSION

folder = Path(__file__).parent.parent / "golden" / f"format-{FORMAT_VERSION}"
if folder.exists():
    raise SystemExit(f"{folder} is there: a golden file is never written again")
run = train("digits", "mlp_small", out=folder, epochs=2, hidden=(8,), latent_dim=3)
x = run.data.test.x[:5]
np.save(folder / "x.npy", x)
np.save(folder / "z.npy", run.trained.embed(x))
for name in ("report.html", "metrics.json", "history.jsonl"):
    (folder / name).unlink()
for picture in (folder / "plots").iterdir():
    picture.unlink()
(folder / "plots").rmdir()
