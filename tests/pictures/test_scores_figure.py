"""The picture of all scores: what is written at its axes can be read."""

import numpy as np

from autoencode.pictures.of_anomalies import scores_figure


def test_numbers_of_rows_are_written_as_numbers():
    figure = scores_figure(np.random.default_rng(0).exponential(size=800), 4.0)
    figure.canvas.draw()
    written = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"1", "10", "100"} <= set(written)
    assert all(float(text) > 0 for text in written)
