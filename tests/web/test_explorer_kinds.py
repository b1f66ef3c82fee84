"""Pages of models and data of every kind, opened from a file with the network off."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from autoencode import AnomalyDetector, Autoencoder, explore, train
from chromium import Opened

pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(chromium, tmp_path):
    """Opens the page of a model and its data; nothing in it may fail or ask anybody."""
    seen = []

    def opener(model, data=None, **how):
        path = explore(model, data).to_html(tmp_path / f"{len(seen)}.html")
        seen.append(Opened(chromium, path, **how))
        return seen[-1]

    yield opener
    for page in seen:
        assert page.faults == []
        assert page.outside == []
        page.close()


HOSTILE = "<img src=x onerror=document.title='caught'>"


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=90), f"b {HOSTILE}": rng.normal(size=90)})
    frame["word"] = np.array([HOSTILE, "</script><script>document.title='caught'</script>", "c"])[
        rng.integers(0, 3, 90)
    ]
    frame["old"] = rng.random(90) > 0.5
    frame.loc[::4, "a"] = np.nan
    return frame


def waves():
    phase = np.random.default_rng(0).uniform(0.5, 2, (60, 1))
    return np.stack([np.sin(phase * np.linspace(0, 6, 40)), np.cos(phase * np.linspace(0, 6, 40))], -1)


def colours(n=40):
    return np.random.default_rng(0).random((n, 3, 8, 8)).astype(np.float32)


MODEL = partial(Autoencoder, epochs=1, random_state=0)
KINDS = {
    "a table with gaps and markup": lambda: (MODEL("vae", n_components=3), table()),
    "signals": lambda: (MODEL("mlp", n_components=2, layout="sequence"), waves()),
    "colour images": lambda: (MODEL("vae", n_components=5), colours()),
    "codes of integers": lambda: (MODEL("vqvae"), colours()),
    "a hierarchy": lambda: (MODEL("ladder_vae"), colours(40)[:, 0].reshape(40, -1)),
    "one latent dimension": lambda: (
        MODEL("mlp", n_components=1),
        table()[["a"]].dropna().assign(b=1.5),
    ),
    "a detector": lambda: (AnomalyDetector("mlp", epochs=1, random_state=0), waves()[:, :5, 0]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_each_kind_decodes_and_shows_examples(open_page, kind):
    model, data = KINDS[kind]()
    model.fit(data)
    page = open_page(model, data)
    page.wait_for_decoder()
    page.run("explorer.map.look(3)")
    page.page.wait_for_selector(".inspect[data-shown='3']")
    z = page.run("explorer.store.state.z")
    found = page.run(
        "async () => Array.from(await (await explorer.decoder).decode(explorer.store.state.z))"
    )
    wanted = model.trained_.decode(np.array([z], np.float32)).reshape(-1)
    numbers = [i for i, c in enumerate(model.trained_.spec.columns) if c.numeric] or slice(None)
    scale = np.broadcast_to(model.trained_.spec.scale, wanted.shape)[numbers]
    origin = np.array([c.origin for c in model.trained_.spec.columns] or [0.0])
    gone = (np.array(found) - wanted - origin)[numbers] / scale
    assert np.abs(gone).max() < 1e-5
    assert page.run("document.title").endswith("autoencode")
    assert page.page.query_selector("#explorer img") is None
    assert page.page.query_selector("#explorer b") is None
    if kind.startswith("a table"):
        assert HOSTILE in page.page.inner_text(".inspect")


def test_one_point_and_no_points_have_a_page(open_page):
    model = MODEL("vae", n_components=3).fit(colours())
    one = open_page(model, colours()[:1])
    one.wait_for_decoder()
    assert one.page.inner_text("header").count("1 point ") == 1
    none = open_page(model)
    none.wait_for_decoder()
    assert "no points" in none.page.inner_text(".inspect")
    assert "no data were given" in none.page.inner_text("#explorer")


def test_a_conditional_model_decodes_for_a_label(open_page):
    model = train("digits", "cvae", epochs=1, latent_dim=2)
    page = open_page(model)
    page.wait_for_decoder()
    page.page.get_by_label("label that is decoded for").select_option(label="7")
    script = "async () => { const s = explorer.store.state; const d = await explorer.decoder;"
    found = page.run(script + " return [s.z, Array.from(await d.decode(s.z, s.label))]; }")
    wanted = model.trained.decode(np.array([found[0]], np.float32), ["7"])
    assert np.abs(np.array(found[1]) - wanted.reshape(-1)).max() / 16 < 1e-5


def test_a_page_of_all_of_mnist_is_small_and_ready_soon(chromium, data_dir, hurried, tmp_path):
    hurried(20)
    run = train("mnist", "vae", latent_dim=2, data_dir=data_dir, epochs=1)
    explorer = explore(run)
    path = explorer.to_html(tmp_path / "mnist.html")
    assert explorer.scene.head["n"] == 70_000
    assert "10000 of 10000 test examples" in explorer.notices[0]
    assert path.stat().st_size < 10_000_000
    page = Opened(chromium, path)
    assert page.run("explorer.points.n") == 70_000
    page.wait_for_decoder()
    test = page.run("async () => Array.from((await explorer.originals).subarray(784 * 123, 784 * 124))")
    assert (np.array(test) == run.data.test.x[123].reshape(-1)).all()
    assert page.faults == []
    assert page.outside == []
    page.close()
