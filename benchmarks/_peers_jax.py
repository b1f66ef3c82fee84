"""The peers on JAX: Keras, and an epoch as one jitted scan with Adam written out.

Peers as in ``_peers.py``. D is left out: XLA's convolutions on the CPU take minutes for it.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import numpy as np
from _peers import Epoch, Peer
from _tutorial import BATCH, LR

# Convolutions of C, as (inputs, outputs, transposed), kernel 3, stride 2.
_CONVS = ((1, 16, False), (16, 32, False), (32, 16, True), (16, 1, True))
_WIDTHS = {"A": (784, 256, 64, 32, 64, 256, 784), "B": (784, 256, 40, 20, 256, 784)}


def _parameters(model: str) -> list[Any]:
    """Weights and biases as torch draws them."""
    rng = np.random.default_rng(0)

    def layer(shape: tuple[int, ...], fan_in: int) -> list[np.ndarray]:
        bound = fan_in**-0.5
        return [rng.uniform(-bound, bound, s).astype("float32") for s in (shape, shape[-1:])]

    if model == "C":
        return [layer((3, 3, a, b), 9 * (b if up else a)) for a, b, up in _CONVS]
    pairs = [p for p in itertools.pairwise(_WIDTHS[model]) if p != (40, 20)]
    return [layer(pair, pair[0]) for pair in pairs]


def jax_scan(model: str, x: np.ndarray) -> Epoch:
    import jax
    import jax.numpy as jnp

    size, b1, b2, eps = BATCH[model], 0.9, 0.999, 1e-8
    steps = len(x) // size

    def dense(h: Any, layers: list[Any]) -> Any:
        for i, (weight, bias) in enumerate(layers):
            h = h @ weight + bias
            h = jax.nn.relu(h) if i + 1 < len(layers) else h
        return h

    def conv(h: Any, layers: list[Any]) -> Any:
        names = ("NHWC", "HWIO", "NHWC")
        for i, ((weight, bias), (_, _, up)) in enumerate(zip(layers, _CONVS, strict=True)):
            how = {"lhs_dilation": (2, 2), "padding": ((1, 2), (1, 2)), "window_strides": (1, 1)}
            if not up:
                how = {"window_strides": (2, 2), "padding": ((1, 1), (1, 1))}
            h = jax.lax.conv_general_dilated(h, weight, dimension_numbers=names, **how) + bias
            h = jax.nn.relu(h) if i + 1 < len(layers) else h
        return h

    def loss(layers: list[Any], batch: Any, key: Any) -> Any:
        if model == "C":
            images = batch[..., None]
            return jnp.mean((jax.nn.sigmoid(conv(images, layers)) - images) ** 2)
        rows = batch.reshape(size, 784)
        if model == "A":
            return jnp.mean((jax.nn.sigmoid(dense(rows, layers)) - rows) ** 2)
        loc, log_var = jnp.split(dense(rows, layers[:2]), 2, 1)
        z = loc + jax.random.normal(key, loc.shape) * jnp.exp(0.5 * log_var)
        logits = dense(z, layers[2:])
        nats = jnp.sum(jax.nn.softplus(logits) - logits * rows)
        return (nats - 0.5 * jnp.sum(1 + log_var - loc**2 - jnp.exp(log_var))) / size

    def step(state: Any, index: Any) -> Any:
        layers, first, second, t, key, rows = state
        key, noise = jax.random.split(key)
        batch = rows[index].astype("float32") / 255
        value, grads = jax.value_and_grad(loss)(layers, batch, noise)
        t = t + 1
        first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, first, grads)
        second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, second, grads)
        rate = LR[model] * jnp.sqrt(1 - b2**t) / (1 - b1**t)
        layers = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + eps * jnp.sqrt(1 - b2**t)),
            layers,
            first,
            second,
        )
        return (layers, first, second, t, key, rows), value

    @jax.jit
    def train(state: Any) -> Any:
        layers, first, second, t, key, rows = state
        key, order = jax.random.split(key)
        batches = jax.random.permutation(order, len(rows))[: steps * size].reshape(steps, size)
        state, values = jax.lax.scan(step, (layers, first, second, t, key, rows), batches)
        return state, values.mean()

    layers = jax.tree.map(jnp.asarray, _parameters(model))
    zeros = jax.tree.map(jnp.zeros_like, layers)
    key, rows = jax.random.key(0), jnp.asarray(x.reshape(-1, 28, 28))
    state = [(layers, zeros, zeros, jnp.zeros(()), key, rows)]

    def epoch() -> float:
        start = time.perf_counter()
        state[0], _ = jax.block_until_ready(train(state[0]))
        return time.perf_counter() - start

    return epoch


def keras(model: str, x: np.ndarray) -> Epoch:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras as k

    class Draw(k.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.noise = k.random.SeedGenerator(0)

        def call(self, heads: Any) -> Any:
            loc, log_var = heads
            kl = -0.5 * k.ops.sum(1 + log_var - loc**2 - k.ops.exp(log_var), axis=1)
            self.add_loss(k.ops.mean(kl))
            normal = k.random.normal(k.ops.shape(loc), seed=self.noise)
            return loc + normal * k.ops.exp(0.5 * log_var)

    dense, relu = k.layers.Dense, "relu"
    if model == "C":
        data = inputs = k.Input((28, 28, 1))
        for _, filters, up in _CONVS:
            layer = k.layers.Conv2DTranspose if up else k.layers.Conv2D
            activation = "sigmoid" if filters == 1 else relu
            data = layer(filters, 3, 2, "same", activation=activation)(data)
    else:
        data = inputs = k.Input((784,))
        if model == "B":
            h = dense(256, relu)(data)
            data = Draw()([dense(20)(h), dense(20)(h)])
            data = dense(256, relu)(data)
        else:
            for width, activation in ((256, relu), (64, relu), (32, None), (64, relu), (256, relu)):
                data = dense(width, activation)(data)
        data = dense(784, "sigmoid")(data)
    net = k.Model(inputs, data)
    nats = lambda y, guess: 784 * k.losses.binary_crossentropy(y, guess)  # noqa: E731
    net.compile(k.optimizers.Adam(LR[model], epsilon=1e-8), nats if model == "B" else "mse")
    floats = x.reshape(-1, *inputs.shape[1:]).astype("float32") / 255

    def epoch() -> float:
        start = time.perf_counter()
        net.fit(floats, floats, batch_size=BATCH[model], epochs=1, verbose=0)
        return time.perf_counter() - start

    return epoch


PEERS = {
    "Keras on JAX": Peer(keras, ("keras", "jax"), "ABC"),
    "JAX scan": Peer(jax_scan, ("jax",), "ABC"),
}
