"""The peers on JAX: Keras, and an epoch as one jitted scan with Adam written out.

Peers as in ``_peers.py``. ``throughput.py`` leaves D out: XLA's convolutions take minutes for it.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import numpy as np
from _peers import Epoch, Peer
from _tutorial import BATCH, LR

# Layers: a convolution (kernel 3) is (inputs, outputs, stride, transposed), a dense one the first two.
_CONVS = ((1, 16, 2, False), (16, 32, 2, False), (32, 16, 2, True), (16, 1, 2, True))
_WIDTHS = {"A": (784, 256, 64, 32, 64, 256, 784), "B": (784, 256, 40, 20, 256, 784)}
_NETWORKS: dict[str, tuple[tuple, ...]] = {
    **{name: tuple(itertools.pairwise(widths)) for name, widths in _WIDTHS.items()},
    "C": _CONVS,
    "D": (
        *((1, 32, 1, False), (32, 64, 2, False), (64, 64, 2, False), (64, 64, 1, False)),
        *((3136, 2), (2, 3136)),
        *((64, 64, 1, True), (64, 64, 2, True), (64, 32, 2, True), (32, 1, 1, True)),
    ),
}
_NETWORKS["B"] = tuple(pair for pair in _NETWORKS["B"] if pair != (40, 20))  # a draw, not a layer


def _parameters(model: str) -> list[Any]:
    """Weights and biases as torch draws them."""
    rng = np.random.default_rng(0)

    def layer(shape: tuple[int, ...], fan_in: int) -> list[np.ndarray]:
        bound = fan_in**-0.5
        return [rng.uniform(-bound, bound, s).astype("float32") for s in (shape, shape[-1:])]

    def made(a: int, b: int, stride: int = 0, up: bool = False) -> list[np.ndarray]:
        return layer((3, 3, a, b), 9 * (b if up else a)) if stride else layer((a, b), a)

    return [made(*parts) for parts in _NETWORKS[model]]


class JaxScan:
    """Trains an epoch when called, and returns its seconds; compiled beforehand.

    With ``pieces`` a call trains on a random one of that many parts of an epoch.
    """

    def __init__(self, model: str, x: np.ndarray, pieces: int = 1) -> None:
        import jax
        import jax.numpy as jnp

        size, b1, b2, eps = BATCH[model], 0.9, 0.999, 1e-8
        steps = len(x) // size // pieces

        def apply(part: tuple, layer: Any, h: Any) -> Any:
            weight, bias = layer
            if len(part) == 2:
                if h.ndim == 4 and h.shape[-1] == 64:  # torch flattens channels first
                    h = h.transpose(0, 3, 1, 2).reshape(len(h), -1)
                return h @ weight + bias
            if h.ndim == 2:
                h = h.reshape(len(h), 64, 7, 7).transpose(0, 2, 3, 1)
            _, _, stride, up = part
            names = ("NHWC", "HWIO", "NHWC")
            how = {"padding": ((1, 1), (1, 1)), "window_strides": (stride, stride)}
            if up and stride == 2:
                how = {"lhs_dilation": (2, 2), "padding": ((1, 2), (1, 2)), "window_strides": (1, 1)}
            return jax.lax.conv_general_dilated(h, weight, dimension_numbers=names, **how) + bias

        def network(h: Any, layers: list[Any], parts: tuple[tuple, ...]) -> Any:
            for i, (part, layer) in enumerate(zip(parts, layers, strict=True)):
                h = apply(part, layer, h)
                code = model == "D" and part[1] in (2, 3136)
                if i + 1 < len(parts) and not code and not (model == "A" and part[1] == 32):
                    h = jax.nn.leaky_relu(h, 0.01) if model == "D" else jax.nn.relu(h)
            return h

        def loss(layers: list[Any], batch: Any, key: Any) -> Any:
            parts = _NETWORKS[model]
            if model in "CD":
                images = batch[..., None]
                return jnp.mean((jax.nn.sigmoid(network(images, layers, parts)) - images) ** 2)
            rows = batch.reshape(len(batch), 784)
            if model == "A":
                return jnp.mean((jax.nn.sigmoid(network(rows, layers, parts)) - rows) ** 2)
            loc, log_var = jnp.split(network(rows, layers[:2], parts[:2]), 2, 1)
            z = loc + jax.random.normal(key, loc.shape) * jnp.exp(0.5 * log_var)
            logits = network(z, layers[2:], parts[2:])
            nats = jnp.sum(jax.nn.softplus(logits) - logits * rows)
            kl = -0.5 * jnp.sum(1 + log_var - loc**2 - jnp.exp(log_var))
            return (nats + kl) / len(batch)

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

        def train(state: Any) -> Any:
            layers, first, second, t, key, rows = state
            key, order = jax.random.split(key)
            batches = jax.random.permutation(order, len(rows))[: steps * size].reshape(steps, size)
            state, values = jax.lax.scan(step, (layers, first, second, t, key, rows), batches)
            return state, values.mean()

        layers = jax.tree.map(jnp.asarray, _parameters(model))
        zeros = jax.tree.map(jnp.zeros_like, layers)
        key, rows = jax.random.key(0), jnp.asarray(x.reshape(-1, 28, 28))
        self._state = (layers, zeros, zeros, jnp.zeros(()), key, rows)
        self._train = jax.jit(train).lower(self._state).compile()
        self._loss, self._jax = jax.jit(loss), jax

    def __call__(self) -> float:
        start = time.perf_counter()
        self._state, _ = self._jax.block_until_ready(self._train(self._state))
        return time.perf_counter() - start

    def quality(self, x: np.ndarray) -> float:
        """MSE, or for B minus the ELBO in nats, on other images."""
        pieces = x.reshape(-1, 1000, 28, 28).astype("float32") / 255
        keys = self._jax.random.split(self._jax.random.key(1), len(pieces))
        values = [self._loss(self._state[0], *pair) for pair in zip(pieces, keys, strict=True)]
        return float(np.mean(values))


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
        for _, filters, _, up in _CONVS:
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
    "JAX scan": Peer(JaxScan, ("jax",), "ABC"),
}
