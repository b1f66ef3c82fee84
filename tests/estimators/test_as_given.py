"""What comes back looks like what went in: over layouts, types, containers and functions."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import Autoencoder, Denoiser

N = 12
LAYOUTS = {
    "rows": ((6,), None),
    "flat pictures": ((16,), "image"),
    "grey": ((5, 4), None),
    "channels last": ((5, 4, 3), None),
    "channels first": ((3, 5, 4), None),
    "one channel": ((1, 5, 4), None),
    "flattened": ((5, 4, 3), "row"),
    "series": ((6,), "sequence"),
    "sequences": ((6, 2), "sequence"),
    "volumes": ((3, 4, 2), "volume"),
    "volumes, channels last": ((2, 4, 2, 3), "volume"),
}
DTYPES = ["uint8", "uint16", "int64", "bool", "float16", "float32", "float64", ">f8", ">i4"]
TORCH = ("uint8", "int64", "bool", "float16", "float32", "float64")  # all versions have them


def table(x, frame):
    return frame({name: x[:, i] for i, name in enumerate("fbadce")})


def odd_index(columns):
    return pd.DataFrame(columns, index=pd.Index([f"r{7 * i % N}" for i in range(N)], name="who"))


def numbered(columns):  # names that are no text
    return pd.DataFrame(dict(enumerate(columns.values())))


def nullable(columns):
    return odd_index(columns).convert_dtypes()


def arrow(columns):
    return odd_index(columns).convert_dtypes(dtype_backend="pyarrow")


CONTAINERS = {
    "array": lambda x: x,
    "fortran": np.asfortranarray,
    "slices": lambda x: np.repeat(x, 2, axis=0)[::2],
    "list": lambda x: x.tolist(),
    "tensor": torch.from_numpy,
    "pandas": lambda x: table(x, odd_index),
    "numbered": lambda x: table(x, numbered),
    "nullable": lambda x: table(x, nullable),
    "arrow dtypes": lambda x: table(x, arrow),
    "polars": lambda x: table(x, pl.DataFrame),
    "pyarrow": lambda x: table(x, pa.table),
}
TABLES = ("pandas", "numbered", "nullable", "arrow dtypes", "polars", "pyarrow")
FUNCTIONS = ["reconstruct", "inverse_transform", "sample", "impute", "denoise", "corrupt"]
FEW = {"epochs": 1, "random_state": 0, "options": {"hidden": (4,)}}


@st.composite
def examples(draw):
    layout = draw(st.sampled_from(list(LAYOUTS)))
    shape, told = LAYOUTS[layout]
    dtype = draw(st.sampled_from(DTYPES))
    container = draw(st.sampled_from(list(CONTAINERS) if layout == "rows" else list(CONTAINERS)[:5]))
    if container == "tensor" and dtype not in TORCH:
        dtype = "float32"
    if container in TABLES and np.dtype(dtype).byteorder == ">":
        dtype = "int64"
    if container == "list":
        dtype = draw(st.sampled_from(["int64", "float64", "bool"]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.integers(0, 200, (N, *shape))
    x = (x % 2 if dtype == "bool" else x).astype(dtype)
    if np.dtype(dtype).kind == "f" and draw(st.booleans()):
        x = (x / 7 - 9).astype(dtype)
    x[0].flat[0] = x[1].flat[0] ^ 1 if dtype == "bool" else x[1].flat[0] + 1
    return x, told, CONTAINERS[container](x), container


def as_array(made):
    return made.to_numpy() if hasattr(made, "to_numpy") else np.asarray(made)


def types(made):
    if isinstance(made, pa.Table):
        return made.schema.types
    return list(made.dtypes) if hasattr(made, "dtypes") else made.dtype


def library(made):
    return np.ndarray if isinstance(made, list) else type(made)


def assert_alike(made, source, n=N):
    """The library, the shape, the names and the row labels."""
    assert isinstance(made, library(source))
    shape = np.shape(source) if isinstance(source, list) else tuple(source.shape)
    assert tuple(made.shape) == (n, *shape[1:])
    if isinstance(source, pd.DataFrame):
        assert made.columns.equals(source.columns)
        if n == N:
            assert made.index.equals(source.index)
            assert made.index.name == source.index.name
    elif hasattr(source, "columns"):
        assert list(getattr(made, "column_names", made.columns)) == list(
            getattr(source, "column_names", source.columns)
        )


def assert_floats(made):
    found = types(made)
    for one in found if isinstance(found, list) else [found]:
        if isinstance(found, list) and "bool" in str(one).lower():
            continue  # the truth values of a table are no numbers
        assert "float" in str(one).lower() or "double" in str(one), one


def assert_types(made, source):
    wanted = np.asarray(source).dtype if isinstance(source, list) else types(source)
    assert types(made) == wanted


def holed(x):
    gaps = np.zeros(x.shape, bool)
    gaps[::3].reshape(len(gaps[::3]), -1)[:, 1] = True
    return np.where(gaps, np.nan, x).astype(x.dtype), gaps


@given(examples(), st.sampled_from(FUNCTIONS))
@settings(max_examples=100, deadline=None)
def test_what_comes_back_looks_like_what_went_in(case, function):
    x, told, source, container = case
    if function in ("denoise", "corrupt"):
        noisy = Denoiser(recipe="mlp_small", layout=told, epochs=1, random_state=0).fit(source)
        made = noisy.transform(source) if function == "denoise" else noisy.corrupt(source)
        assert_alike(made, source)
        if function == "corrupt":
            return assert_floats(made)
        assert_types(made, source)
        exact, rounded = (
            as_array(m).astype(float) for m in (noisy.transform(source, dtype="float"), made)
        )
        return np.testing.assert_allclose(exact, rounded, rtol=1e-2, atol=0.5001)
    if function == "impute":
        if x.dtype.kind != "f":
            return None
        x, gaps = holed(x)
        source = CONTAINERS[container](x)
        made = (
            Autoencoder("mlp_small", 2, layout=told, epochs=1, random_state=0)
            .fit(source)
            .impute(source)
        )
        assert_alike(made, source)
        assert_types(made, source)
        filled = as_array(made).astype(x.dtype)
        assert np.isfinite(filled).all()
        return np.testing.assert_array_equal(filled[~gaps], x[~gaps])
    model = Autoencoder("vae", 2, layout=told, **FEW).fit(source)
    if function == "sample":
        # Nothing is given but a number: of tables the columns are remembered, of others the array.
        like = source if container in TABLES and container != "numbered" else x
        assert_alike(model.sample(3), like, 3)
        assert_types(model.sample(3), like)
        assert_alike(model.sample(3, mean=True), like, 3)
        return assert_floats(model.sample(3, mean=True))
    if function == "reconstruct":
        made, same = model.reconstruct(source), model.reconstruct(source, dtype="same")
        like = source
    else:
        codes = model.transform(source)
        made, same = model.inverse_transform(codes), model.inverse_transform(codes, dtype="same")
        like = source if container in TABLES else x
        if hasattr(made, "index"):  # codes have none
            made, same = made.set_axis(source.index), same.set_axis(source.index)
    assert_alike(made, like)
    assert_floats(made)
    assert_alike(same, like)
    assert_types(same, like)
    a, b = as_array(made).astype(np.float64), as_array(same).astype(np.float64)
    if x.dtype.kind == "f":
        np.testing.assert_allclose(a, b, rtol=1e-3)
    elif x.dtype.kind == "b":
        np.testing.assert_array_equal(a >= 0.5, b)
    else:
        np.testing.assert_array_equal(np.rint(a.clip(np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)), b)
    if container not in TABLES:
        whole = source.float() if isinstance(made, torch.Tensor) else x
        assert ((made - whole) ** 2).shape == x.shape
    return None
