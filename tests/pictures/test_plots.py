"""What the figures hold: each assertion would fail if the picture showed something else."""

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from PIL import Image

from autoencode.errors import DataError, StorageError
from autoencode.pictures import plots
from autoencode.training import EpochRecord

rng = np.random.default_rng(7)


def images(n, channels=1, size=8):
    return rng.uniform(size=(n, channels, size, size))


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def tick_texts(ticks):
    return [tick.get_text() for tick in ticks]


def history(losses, **terms):
    return [
        {"epoch": i + 1, "step": 10 * (i + 1), "loss": value, "seconds": 1.0, "lr_factor": 0.5}
        | {name: values[i] for name, values in terms.items()}
        for i, value in enumerate(losses)
    ]


# reconstructions


def test_originals_stand_above_their_reconstructions():
    x = images(3)
    figure = plots.reconstructions(x, np.zeros_like(x), labels=[5, 0, 4])
    (ax,) = figure.axes
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (2 * 8 + 1, 3 * 8 + 2)  # one pixel between the pictures
    np.testing.assert_allclose(sheet[:8, 9:17], x[1, 0], rtol=1e-6)
    assert (sheet[9:, :8] == 0).all()
    assert tick_texts(ax.get_yticklabels()) == ["original", "reconstruction"]
    assert tick_texts(ax.get_xticklabels()) == ["5", "0", "4"]
    assert "Originals (top)" in title(figure)


def test_many_examples_are_wrapped_into_blocks_of_ten():
    x = images(30)
    figure = plots.reconstructions(x, x, labels=np.arange(30), n=23)
    assert len(figure.axes) == 3
    assert tick_texts(figure.axes[2].get_xticklabels()) == ["20", "21", "22"]
    last = np.asarray(figure.axes[2].images[0].get_array())
    np.testing.assert_allclose(last[:8, 18:26], x[22, 0], rtol=1e-6)
    assert (last[:8, 27:] == 1).all()  # nothing is drawn after the last example


def test_values_outside_the_range_are_clipped_and_missing_ones_are_black():
    x = np.array([-1.0, 2.0, np.nan, 0.5]).reshape(1, 1, 2, 2)
    sheet = np.asarray(plots.reconstructions(x, x).axes[0].images[0].get_array())
    np.testing.assert_array_equal(sheet[:2], [[0, 1], [0, 0.5]])


def test_three_channels_are_colours_and_two_are_averaged():
    colour = images(2, channels=3)
    sheet = np.asarray(plots.samples(colour).axes[0].images[0].get_array())
    np.testing.assert_allclose(sheet[:8, :8], colour[0].transpose(1, 2, 0), rtol=1e-6)
    two = images(2, channels=2)
    figure = plots.samples(two)
    assert "mean over 2 channels" in title(figure)
    sheet = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(sheet[:8, :8], two[0].mean(0), rtol=1e-6)


def test_flat_rows_become_overlaid_profiles_with_one_legend():
    x = rng.normal(size=(9, 6))
    figure = plots.reconstructions(x, x + 1, labels=list("abcdefghi"), n=7)
    drawn = [ax for ax in figure.axes if ax.lines]
    assert len(drawn) == 7
    original, reconstruction = drawn[6].lines
    np.testing.assert_array_equal(original.get_ydata(), x[6])
    np.testing.assert_array_equal(reconstruction.get_ydata(), x[6] + 1)
    assert original.get_linestyle() != reconstruction.get_linestyle()
    assert drawn[6].get_title(loc="left") == "g"
    assert len(figure.legends) == 1
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["original", "reconstruction"]


def test_reconstructions_of_another_shape_are_refused():
    with pytest.raises(DataError, match="must match"):
        plots.reconstructions(images(2), images(3))


@pytest.mark.parametrize("empty", [np.zeros((0, 4)), np.zeros(3)])
def test_nothing_to_draw_is_an_error(empty):
    with pytest.raises(DataError, match="nothing to draw"):
        plots.samples(empty)


# loss


def test_training_and_validation_loss_are_drawn_against_epochs():
    entries = history([3.0, 2.0, 1.5], validation_loss=[3.5, None, 2.5])
    (ax,) = plots.loss(entries, unit="mean squared error").axes
    training, validation = ax.lines
    np.testing.assert_array_equal(training.get_xydata(), [[1, 3], [2, 2], [3, 1.5]])
    np.testing.assert_array_equal(validation.get_xydata(), [[1, 3.5], [3, 2.5]])
    assert ax.get_ylabel() == "mean squared error"
    assert ax.get_xlabel() == "epoch"
    assert legend_of(ax) == ["training", "validation"]
    assert ax.get_yscale() == "linear"


def test_a_wide_range_of_positive_losses_is_logarithmic():
    assert plots.loss(history([100.0, 4.9])).axes[0].get_yscale() == "log"
    assert plots.loss(history([100.0, 5.1])).axes[0].get_yscale() == "linear"
    assert plots.loss(history([100.0, -4.0])).axes[0].get_yscale() == "linear"


def test_two_terms_get_panels_and_one_does_not():
    one = history([2.0, 1.0], mse=[2.0, 1.0], validation_mse=[2.0, 1.0])
    assert len(plots.loss(one).axes) == 1
    two = history([3.0, 2.0], reconstruction=[2.0, 1.0], kl=[1.0, 1.0], validation_kl=[1.0, 2.0])
    axes = plots.loss(two).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["loss", "reconstruction", "kl"]
    assert [len(ax.lines) for ax in axes] == [1, 1, 2]
    assert legend_of(axes[2]) == ["training", "validation"]  # where both can be explained


def test_what_training_records_beside_its_losses_is_no_term():
    losses = {"loss": 3.0, "reconstruction": 2.0, "kl": 1.0}
    record = EpochRecord(1, 10, losses, losses, lr_factor=0.5, seconds=2.0)
    axes = plots.loss([record.as_dict()]).axes
    titles = [ax.get_title(loc="left") for ax in axes if ax.axison]
    assert titles == ["loss", "reconstruction", "kl"]


def test_a_single_epoch_is_a_marker_over_a_whole_number():
    figure = plots.loss(history([2.0], validation_loss=[2.5]))
    (ax,) = figure.axes
    assert [line.get_marker() for line in ax.lines] == ["o", "o"]
    figure.draw_without_rendering()
    low, high = ax.get_xlim()
    assert [t for t in ax.get_xticks() if low <= t <= high] == [1]


def test_a_diverged_run_still_draws():
    figure = plots.loss(history([float("nan"), float("inf")]))
    assert not figure.axes[0].lines
    assert plots.png(figure)
    with pytest.raises(DataError, match="no epoch"):
        plots.loss([])


# latent space


def test_two_dimensions_are_drawn_as_they_are():
    z = rng.normal(size=(50, 2))
    (ax,) = plots.latent(z).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z0", "z1")
    drawn = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(z, axis=0))


def test_more_dimensions_go_through_principal_components():
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    z = np.zeros((400, 5))
    z[:, 0] = np.tile([-3.0, 3.0], 200)  # variance 9
    z[:, 1] = np.tile([-1.0, -1.0, 1.0, 1.0], 100)  # variance 1
    (ax,) = plots.latent(z @ turn).axes
    assert ax.get_xlabel() == "PC 1 of z (90 % of variance)"
    assert ax.get_ylabel() == "PC 2 of z (10 % of variance)"
    drawn = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(np.abs(drawn), np.tile([3.0, 1.0], (400, 1)), rtol=1e-5)


def test_given_shares_say_that_the_columns_are_components_already():
    z = rng.normal(size=(20, 2))
    (ax,) = plots.latent(z, explained=[0.34, 0.2]).axes
    assert ax.get_xlabel() == "PC 1 of z (34 % of variance)"
    drawn = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(z, axis=0))


@pytest.mark.parametrize("names", [["cat", "dog", "owl"], list(range(10)), list(range(20))])
def test_categories_get_a_legend_and_their_own_colours(names):
    z = rng.normal(size=(4 * len(names), 2))
    labels = np.array(names * 4)
    (ax,) = plots.latent(z, labels).axes
    assert legend_of(ax) == [str(name) for name in names]
    colour = {
        handle.get_label(): matplotlib.colors.to_rgba(handle.get_color())
        for handle in ax.get_legend().legend_handles
    }
    assert len(set(colour.values())) == len(names)
    of_point = {tuple(point): str(name) for point, name in zip(z, labels, strict=True)}
    points = ax.collections[0]
    for place, face in zip(points.get_offsets(), points.get_facecolors(), strict=True):
        assert tuple(face) == colour[of_point[tuple(place)]]


def test_numbers_get_a_colour_bar_and_many_words_are_gathered():
    z = rng.normal(size=(60, 2))
    ax, bar = plots.latent(z, rng.normal(size=60)).axes
    assert ax.get_legend() is None
    assert bar.get_ylabel() == "label"
    words = np.array([f"word{i:02d}" for i in range(30)] * 2)
    (ax,) = plots.latent(z, words).axes
    assert len(legend_of(ax)) == 20
    assert "other" in legend_of(ax)


def test_one_dimension_is_a_histogram_or_a_strip():
    z = rng.normal(size=(100, 1))
    (ax,) = plots.latent(z).axes
    assert sum(bar.get_height() for bar in ax.patches) == 100
    assert ax.get_xlabel() == "z0"
    (ax,) = plots.latent(z, np.arange(100) % 2).axes
    assert legend_of(ax) == ["0", "1"]
    rows = np.round(np.asarray(ax.collections[0].get_offsets())[:, 1])
    assert sorted(set(rows)) == [0, 1]
    (ax,) = plots.latent(z, z[:, 0] * 2).axes
    drawn = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(drawn[:, 1], 2 * drawn[:, 0])


def test_at_most_ten_thousand_points_are_drawn_and_the_title_says_so():
    z = rng.normal(size=(10_001, 2))
    figure = plots.latent(z)
    assert len(figure.axes[0].collections[0].get_offsets()) == 10_000
    assert "10\u202f000 of 10\u202f001 points" in title(figure)
    again = plots.latent(z).axes[0].collections[0].get_offsets()
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), again)


@pytest.mark.parametrize("shape", [(1, 5), (30, 5), (6, 2, 3, 3), (40, 3000)])
def test_unusual_latents_can_be_drawn(shape):
    assert plots.png(plots.latent(np.ones(shape)))  # a collapsed posterior has no variance


def test_bad_latents_are_left_out_or_refused():
    z = np.array([[0.0, 1.0], [np.nan, 0.0], [2.0, 3.0]])
    (ax,) = plots.latent(z, ["a", "b", "c"]).axes
    assert legend_of(ax) == ["a", "c"]
    with pytest.raises(DataError, match="diverged"):
        plots.latent(np.full((3, 2), np.inf))
    with pytest.raises(DataError, match="labels"):
        plots.latent(z, [1, 2])


# grid and samples


def test_the_top_row_of_the_grid_is_the_largest_second_latent():
    rows, columns = 3, 5
    decoded = np.zeros((rows, columns, 1, 4, 4))
    decoded[0, -1] = 1.0  # z1 largest, z0 largest
    (ax,) = plots.grid(decoded, (-2, 2, -1, 1)).axes
    image = ax.images[0]
    sheet = np.asarray(image.get_array())
    assert sheet.shape == (12, 20)
    assert (sheet[:4, 16:] == 1).all()
    assert sheet.sum() == 16
    assert image.origin == "upper"
    # The outermost cells are centred on the given latents.
    assert image.get_extent() == [-2.5, 2.5, -1.5, 1.5]
    assert ax.get_ylim() == (-1.5, 1.5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z0", "z1")


def test_pixels_of_the_grid_are_square_whatever_the_ranges():
    figure = plots.grid(np.zeros((4, 4, 1, 5, 5)), (-1, 1, -30, 30))
    figure.draw_without_rendering()
    box = figure.axes[0].get_window_extent()
    assert box.width == pytest.approx(box.height, rel=1e-3)


def test_flat_rows_are_profiles_in_the_cells_of_the_grid():
    decoded = np.zeros((2, 2, 3))
    decoded[0, 1] = 1.0  # top right
    figure = plots.grid(decoded, (0, 1, 0, 1), title="Decoded around the mean")
    assert "Decoded around the mean" in title(figure)
    assert "3 features, 0 to 1" in title(figure)
    profiles = figure.axes[0].collections[-1]
    assert isinstance(profiles, LineCollection)
    top_left, top_right, bottom_left, _ = [path.vertices for path in profiles.get_paths()]
    assert (top_right[:, 0] > 0.5).all()
    assert (top_right[:, 1] > top_left[:, 1]).all()  # its values are larger
    assert (top_left[:, 1] > 0.5).all()
    assert (bottom_left[:, 1] < 0.5).all()


def test_a_grid_of_another_shape_is_refused():
    with pytest.raises(DataError, match="3 or 5 axes"):
        plots.grid(np.zeros((4, 4)), (0, 1, 0, 1))


def test_samples_make_a_nearly_square_sheet_in_reading_order():
    x = images(50)
    sheet = np.asarray(plots.samples(x, n=11).axes[0].images[0].get_array())
    assert sheet.shape == (3 * 9 - 1, 4 * 9 - 1)
    np.testing.assert_allclose(sheet[9:17, :8], x[4, 0], rtol=1e-6)
    assert (sheet[18:, 27:] == 1).all()  # the twelfth place is empty


@pytest.mark.parametrize("features", [1, 2, 40])
def test_flat_samples_are_profiles(features):
    x = rng.normal(size=(7, features))
    x[0, 0] = np.inf
    figure = plots.samples(x, title="Draws")
    assert title(figure).startswith(f"Draws (each cell: {features} features")
    assert len(figure.axes[0].collections[-1].get_paths()) == 9  # two of them empty
    assert plots.png(figure)


# files and settings


def test_saved_pictures_open_with_the_expected_size(tmp_path):
    figure = plots.loss(history([2.0, 1.0]))
    plots.save(figure, tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.size == (round(6.4 * plots.DPI), round(3.8 * plots.DPI))
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]  # no temporary file is left


def test_a_picture_that_cannot_be_written_leaves_nothing_and_says_where(tmp_path):
    figure = plots.loss(history([1.0]))
    with pytest.raises(StorageError, match="missing"):
        plots.save(figure, tmp_path / "missing" / "loss.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder"):
        plots.save(figure, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_settings_of_matplotlib_neither_change_nor_matter():
    entries = history([2.0, 1.0])
    plain = plots.png(plots.loss(entries))
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 20}):
        before = dict(matplotlib.rcParams)
        assert plots.png(plots.loss(entries)) == plain
        assert dict(matplotlib.rcParams) == before


def test_long_titles_are_wrapped_inside_the_figure():
    figure = plots.samples(images(2), title="a rather long title " * 8)
    figure.draw_without_rendering()
    (text,) = figure.texts
    box = text.get_window_extent()
    assert box.x1 <= figure.bbox.x1
    assert "\n" in text.get_text()
