"""Latent traversals: each row is the decoder's answer to one dimension that moves alone."""

import numpy as np
import pytest

from autoencode.data import Examples, load_data
from autoencode.errors import DataError, OptionError
from autoencode.evaluate.codes import codes_of
from autoencode.pictures import of_runs as pictures
from autoencode.pictures import plots
from autoencode.runs import train


@pytest.fixture(scope="module")
def run():
    return train("digits", "vae", latent_dim=12, epochs=3, device="cpu")


@pytest.fixture(scope="module")
def few(run):
    return run.data.test.take(np.arange(60))


def sheet(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def texts(ticks):
    return [tick.get_text() for tick in ticks]


def draw(run, examples, **options):
    return pictures.draw("traversals", run.trained, examples, [], **options)


def cells(figure, rows, size=8):
    """(R, K, H, W) of a sheet with one pixel between the pictures."""
    found = sheet(figure)
    count = (found.shape[1] + 1) // (size + 1)
    return np.array(
        [[found[r * 9 : r * 9 + size, k * 9 : k * 9 + size] for k in range(count)] for r in range(rows)]
    )


def test_a_row_is_what_the_decoder_makes_of_one_moving_dimension(run, few):
    codes = run.trained.embed(few)
    base = codes[np.square(codes - codes.mean(0)).sum(1).argmin()]
    found = cells(draw(run, few, dimensions=[3, 0], sweep=(-2.0, 2.0)), rows=2)
    assert found.shape == (2, pictures.STEPS, 8, 8)
    for row, j in enumerate((3, 0)):
        swept = np.tile(base, (pictures.STEPS, 1))
        swept[:, j] = np.linspace(-2, 2, pictures.STEPS)
        np.testing.assert_allclose(found[row], run.trained.decode(swept)[:, 0] / 16, atol=1e-5)


def test_the_most_active_dimensions_come_first(run, few):
    figure = draw(run, few)
    activity = codes_of(run.trained, few).activity
    order = np.argsort(-activity)[: pictures.MOST_DIMENSIONS]
    names = texts(figure.axes[0].get_yticklabels())
    assert names == [f"z{j} ({activity[j]:.2f} nats)" for j in order]
    assert "10 of 12" in figure.get_suptitle()
    assert texts(figure.axes[0].get_xticklabels())[0] == "1 %"


def test_the_range_by_default_is_that_of_each_dimension(run, few):
    codes = run.trained.embed(few)
    low, high = np.quantile(codes, [0.01, 0.99], axis=0)
    j = int(np.argmax(codes_of(run.trained, few).activity))
    same = draw(run, few, dimensions=[j], sweep=(float(low[j]), float(high[j])))
    np.testing.assert_allclose(sheet(draw(run, few, dimensions=[j])), sheet(same), atol=1e-5)


def test_the_nats_of_a_dimension_add_up_to_the_kl_term(run):
    assert codes_of(run.trained, run.data.test).nats.sum() == pytest.approx(run.metrics["kl"], rel=1e-4)


@pytest.mark.usefixtures("pictures")
def test_a_plain_code_is_swept_by_its_spread(few):
    plain = train("digits", "mlp", latent_dim=3, epochs=1, device="cpu")
    spread = plain.trained.embed(few).std(axis=0)
    names = texts(draw(plain, few).axes[0].get_yticklabels())
    assert names == [f"z{j} ({spread[j]:.2g} sd)" for j in np.argsort(-spread)]
    assert "traversals" in pictures.available(plain.trained)
    assert pictures.caption("traversals", plain.trained)


def test_rows_of_many_numbers_without_names_are_profiles_in_cells():
    x = np.random.default_rng(0).uniform(size=(50, 70)).astype(np.float32)
    table = train(x, "vae", latent_dim=2, epochs=1, device="cpu")
    figure = draw(table, table.data.test)
    (ax,) = figure.axes
    assert len(ax.collections[-1].get_segments()) == 2 * pictures.STEPS
    assert len(ax.get_yticks()) == 2
    assert ax.get_yticks()[0] > ax.get_yticks()[1]  # the first row is the top one


def test_a_conditional_model_keeps_the_class_of_its_example():
    data = load_data("digits")
    conditional = train(data, "cvae", latent_dim=2, epochs=1, device="cpu")
    few = conditional.data.test.take(np.arange(20))
    found = cells(draw(conditional, few, dimensions=[1], sweep=(-1.0, 1.0)), rows=1)
    codes = conditional.trained.embed(few)
    middle = np.square(codes - codes.mean(0)).sum(1).argmin()
    swept = np.tile(codes[middle], (pictures.STEPS, 1))
    swept[:, 1] = np.linspace(-1, 1, pictures.STEPS)
    labels = [few.labels[middle]] * pictures.STEPS
    np.testing.assert_allclose(
        found[0], conditional.trained.decode(swept, labels)[:, 0] / 16, atol=1e-5
    )


def test_a_map_has_no_dimensions_to_sweep():
    maps = train("digits", "conv_small", epochs=1, device="cpu")
    few = Examples(maps.data.test.x[:5])
    assert len(maps.trained.latent_shape) == 3
    assert "traversals" not in pictures.available(maps.trained)
    with pytest.raises(OptionError, match="is a map"):
        draw(maps, few)


def test_a_dimension_that_is_not_there_is_refused(run, few):
    with pytest.raises(OptionError, match="0 to 11"):
        draw(run, few, dimensions=[12])


def test_nothing_to_sweep_is_refused():
    with pytest.raises(DataError, match="none of them empty"):
        plots.traversals(np.zeros((0, 3, 1, 8, 8)), [], [], title="", sweep="")
