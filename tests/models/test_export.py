"""Encoders and decoders as modules of their own, and what torch.export makes of them."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from autoencode import Autoencoder, types
from autoencode.errors import IncompatibleError
from autoencode.models import Decoder, Encoder
from autoencode.recipes import RECIPES, build
from autoencode.recipes.shared.likelihood import COUNTS, LikelihoodName
from autoencode.trained import Trained
from autoencode.types import Column, DataSpec

IMAGE = DataSpec((1, 8, 8), scale=(16.0,))
ROW = DataSpec((6,), "real", (1.0, 0.0, -2.0, 0.0, 5.0, 0.5), (2.0, 1.0, 0.5, 3.0, 1.0, 4.0))
GAPPY = replace(ROW, gaps=True)
TABLE = DataSpec(
    (5,),
    "real",
    (40.0, 1.0, 0.0, 0.0, 100.0),
    (10.0, 0.5, 1.0, 1.0, 30.0),
    columns=(
        Column("age", "real"),
        Column("visits", "count"),
        Column("smokes", "boolean"),
        Column("pet", "category", ("cat", "dog", "eel")),
        Column("seen", "date"),
    ),
    gaps=True,
)
LABELLED = {"context_dim": 3, "classes": ("a", "b", "c")}

# One of every kind of network, bottleneck and likelihood; the test below says what is missing here.
FAMILIES = [
    ("linear", IMAGE),
    ("mlp_impute", TABLE),
    ("conv", IMAGE),
    ("conv_skip", IMAGE),
    ("vae", GAPPY),
    ("cvae", ROW),
    ("m2_vae", ROW),
    ("spherical", ROW),
    ("topk", ROW),
    ("batch_topk", ROW),
    ("jumprelu", ROW),
    ("mae", IMAGE),
    ("mae_table", TABLE),
    ("vqvae", IMAGE),
    ("vqvae2", IMAGE),
    ("rvq", ROW),
    ("pvq", ROW),
    ("fsq", IMAGE),
    ("lfq", ROW),
    ("simvq", ROW),
    ("iwae_two_layers", ROW),
    ("joint_vae", ROW),
    ("flow_vae", ROW),
    ("iaf_vae", ROW),
    ("vmf_vae", ROW),
    ("poincare_vae", ROW),
    ("ladder_vae", ROW),
    ("vdvae", IMAGE),
    ("hvae", ROW),
    ("rhvae", ROW),
]
OTHERS = [(name, IMAGE) for name in RECIPES if name not in dict(FAMILIES)]
# Their codes follow the gradient of log p(x|z).
FOLLOWERS = {"hvae", "rhvae"}
SIZES = (3, 1, 2, 7)  # of batches; the first is what export sees
SMALL = {
    "ladder_vae": {"latent_dims": (4, 3), "hidden": (8, 6)},
    "vdvae": {"width": 8, "inner": 4, "blocks": (1,)},
    "mae": {"width": 16, "depth": 1, "decoder_width": 16, "decoder_depth": 1},
    "mae_table": {"width": 16, "depth": 1, "decoder_width": 16, "decoder_depth": 1},
    "topk": {"latent_dim": 20, "k": 3, "k_eval": 4},
    "rhvae": {"hidden": (8,), "latent_dim": 3, "n_centroids": 5},
    **{name: {"latent_dim": 20, "k": 3} for name in ("batch_topk", "matryoshka_sparse")},
    "jumprelu": {"latent_dim": 20, "threshold": 0.1},
}


def small(name):
    """Options that only make a recipe's networks small."""
    if name in SMALL:
        return SMALL[name]
    known = RECIPES[name].options
    found = {"hidden": (8,)} if "hidden" in known and known["hidden"].default else {}
    if "channels" in known and known["channels"].default:
        found |= {"channels": (4, 6), "strides": (2, 2)}
    return found | ({"n_codes": 8, "code_dim": 4} if "code_dim" in known else {})


def untrained(name, spec, **options):
    """A model as training may leave it: no weight is zero or one, and its codebooks have started."""
    if RECIPES[name].conditional:
        spec = replace(spec, **LABELLED, labelled=0.5 if RECIPES[name].guesses else None)
    recipe = build(name, spec, seed=0, **(small(name) | options))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in recipe.model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    x = spec.to_model(torch.from_numpy(examples(spec, 40)))
    recipe.model.start_at_data(lambda n: x[:n])
    labels = torch.eye(3)[torch.arange(40) % 3] if spec.classes else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        recipe.model.train()(replace(spec.batch(x), context=labels))
    return Trained(recipe)


def examples(spec, n):
    """X (n, *D) in the units of the data, with gaps where there may be some."""
    rng = np.random.default_rng(n)
    if spec.columns:
        columns = [rng.normal(40, 10, n), np.log1p(rng.poisson(3, n)), rng.integers(0, 2, n)]
        x = np.stack([*columns, rng.integers(0, 3, n), rng.normal(100, 30, n)], 1)
    elif spec.kind == "unit":
        x = 16 * rng.random((n, *spec.shape))
    else:
        x = np.array(spec.offset) + np.array(spec.scale) * rng.normal(size=(n, *spec.shape))
    if spec.gaps:
        x[rng.random(x.shape) < 0.2] = np.nan
    return x.astype(np.float32)


def context(trained, n):
    """Labels (n,) and what the modules take in their place; nothing for what is not conditional."""
    if not trained.spec.classes:
        return None, ()
    labels = [trained.spec.classes[i % 3] for i in range(n)]
    return labels, (torch.eye(3)[torch.arange(n) % 3],)


def exported(module, *inputs, **how):
    """What torch.export makes of a module, for any number of examples."""
    batch = {0: torch.export.Dim("batch", min=1, max=1000)}
    return torch.export.export(module, inputs, dynamic_shapes=(batch,) * len(inputs), **how)


def outputs(program, *inputs):
    found = program.module()(*inputs)
    assert found.dtype == torch.float32
    return found.numpy()


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def embedded(trained, x, given):
    """The codes that a trained model gives, of rows with labels as well."""
    if not given:
        return trained.embed(x)
    with torch.no_grad():
        return trained.model.embed(trained.spec.to_model(torch.from_numpy(x)), *given).numpy()


def check_encoder(trained):
    first = torch.from_numpy(examples(trained.spec, SIZES[0]))
    program = exported(trained.encoder(), first, *context(trained, SIZES[0])[1])
    for n in SIZES:
        x, given = examples(trained.spec, n), context(trained, n)[1]
        codes = embedded(trained, x, given)
        same(outputs(program, torch.from_numpy(x), *given), codes)
        assert n < 3 or np.ptp(codes, axis=0).max() > 1e-3


def check_decoder(trained):
    codes = {n: embedded(trained, examples(trained.spec, n), context(trained, n)[1]) for n in SIZES}
    first = torch.from_numpy(codes[SIZES[0]])
    program = exported(trained.decoder(), first, *context(trained, SIZES[0])[1])
    for n in SIZES:
        labels, given = context(trained, n)
        same(outputs(program, torch.from_numpy(codes[n]), *given), trained.decode(codes[n], labels))


def check(name, spec):
    trained = untrained(name, spec)
    x = examples(spec, 5)
    before = None if trained.spec.classes else trained.reconstruct(x)
    types._on_device.cache_clear()  # so that export is the first to need the numbers kept there
    if name not in FOLLOWERS:
        check_encoder(trained)
        types._on_device.cache_clear()
    check_decoder(trained)
    if before is not None:
        np.testing.assert_array_equal(trained.reconstruct(x), before)


@pytest.mark.parametrize(("name", "spec"), FAMILIES, ids=lambda value: str(value)[:20])
def test_exported_halves_give_the_codes_and_the_examples_of_the_trained_model(name, spec):
    check(name, spec)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "spec"), OTHERS, ids=lambda value: str(value)[:20])
def test_so_do_those_of_all_other_recipes(name, spec):
    check(name, spec)


def parts(name, spec):
    """The kinds of networks, bottlenecks and models that a recipe is made of."""
    homes = ("autoencode.nets.", "autoencode.bottlenecks.", "autoencode.models.")
    modules = untrained(name, spec).model.modules()
    return {type(module) for module in modules if type(module).__module__.startswith(homes)}


def test_the_families_have_one_of_every_kind_of_network_and_bottleneck():
    known = set().union(*(parts(*family) for family in FAMILIES))
    for name, spec in OTHERS:
        assert parts(name, spec) <= known, f"{name} has parts of a new kind: add it to FAMILIES"


LIKELIHOODS = [name for name in LikelihoodName.__args__ if name not in ("auto", "gaussian")]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_mean_of_every_likelihood_is_exported(likelihood):
    real = likelihood in (*COUNTS, "gaussian_columns")
    spec = DataSpec((6,), "real") if real else DataSpec((6,), scale=(16.0,))
    check_decoder(untrained("vae", spec, likelihood=likelihood))


def test_layers_written_out_are_exported():
    trained = untrained("mlp", ROW, layers="scratch")
    check_encoder(trained)
    check_decoder(trained)


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("strict", [True, False])
def test_it_is_the_same_strictly_or_not_and_whether_or_not_the_model_was_used_before(strict, cold):
    trained = untrained("mlp_impute", TABLE)
    x, z = examples(TABLE, 4), trained.embed(examples(TABLE, 4))
    before = trained.reconstruct(x)
    halves = ((trained.encoder(), x, trained.embed(x)), (trained.decoder(), z, trained.decode(z)))
    for module, given, expected in halves:
        if cold:
            types._on_device.cache_clear()
        program = exported(module, torch.from_numpy(given), strict=strict)
        same(outputs(program, torch.from_numpy(given)), expected)
        same(outputs(program, torch.from_numpy(given[:1])), expected[:1])
    np.testing.assert_array_equal(trained.reconstruct(x), before)


@pytest.mark.parametrize("name", ["conv", "vdvae"])
def test_a_program_is_saved_and_loaded(name):
    trained = untrained(name, IMAGE)
    z = trained.embed(examples(IMAGE, 5))
    file = io.BytesIO()
    torch.export.save(exported(trained.decoder(), torch.from_numpy(z)), file)
    file.seek(0)
    same(outputs(torch.export.load(file), torch.from_numpy(z)), trained.decode(z))


@pytest.mark.parametrize("name", sorted(FOLLOWERS))
def test_a_code_that_follows_gradients_is_refused_in_one_line_and_works_as_before(name):
    trained = untrained(name, ROW)
    x = examples(ROW, 4)
    before = trained.embed(x)
    with pytest.raises(IncompatibleError, match=r"Hamiltonian .* export the decoder alone"):
        exported(trained.encoder(), torch.from_numpy(x))
    np.testing.assert_array_equal(trained.embed(x), before)
    with torch.no_grad():
        same(trained.encoder()(torch.from_numpy(x)).numpy(), before)


def test_a_model_of_unknown_labels_is_exported_without_them():
    trained = untrained("m2_vae", ROW)
    x = examples(ROW, 6)
    program = exported(trained.encoder(), torch.from_numpy(x))
    same(outputs(program, torch.from_numpy(x)), trained.embed(x))


def test_a_conditional_model_asks_for_its_context():
    given = torch.from_numpy(examples(ROW, 2))
    with pytest.raises(IncompatibleError, match=r"conditional on labels; give the context \(B, 3\)"):
        untrained("cvae", ROW).encoder()(given)
    for name in ("cvae", "m2_vae"):
        trained = untrained(name, ROW)
        with pytest.raises(IncompatibleError, match="conditional on labels"):
            trained.decoder()(torch.zeros(2, *trained.latent_shape))


def tracers():
    """Ways in which torch only plays a function of x (2, 6)."""
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    def fake(function, x):
        with FakeTensorMode() as mode:
            return function(mode.from_tensor(x))

    return {
        "fake tensors": fake,
        "make_fx": lambda function, x: make_fx(function, tracing_mode="fake")(x),
        "gradient": lambda function, x: torch.func.grad(lambda y: function(y).sum())(x),
        "tangent": lambda function, x: torch.func.jvp(function, (x,), (x,)),
        "every row": lambda function, x: torch.func.vmap(function)(x.unsqueeze(1)),
        "compiled": lambda function, x: torch.compile(function, backend="eager")(x),
        "inference": torch.inference_mode()(lambda function, x: function(x)),
    }


# torch's own derivatives are written in what torch calls old.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("way", list(tracers()))
def test_nothing_that_was_traced_is_kept(way):
    x = torch.from_numpy(examples(ROW, 2))
    there, back = ROW.to_model(x), ROW.to_raw(x)
    types._on_device.cache_clear()
    tracers()[way](lambda y: ROW.to_raw(ROW.to_model(y)), x)
    for method, expected in ((ROW.to_model, there), (ROW.to_raw, back)):
        leaf = x.clone().requires_grad_()
        found = method(leaf)
        found.square().sum().backward()
        assert torch.equal(found, expected)
        assert bool(leaf.grad.isfinite().all())
        with torch.inference_mode():
            np.testing.assert_array_equal(method(x).numpy(), expected.numpy())


def test_halves_are_copies_that_estimators_have_as_well():
    x = examples(ROW, 40)
    model = Autoencoder("mlp_small", 3, epochs=1, device="cpu", random_state=0).fit(x)
    z = model.transform(x)
    encoder, decoder = model.encoder_, model.decoder_
    assert isinstance(encoder, Encoder)
    assert isinstance(decoder, Decoder)
    assert not any(module.training for half in (encoder, decoder) for module in half.modules())
    with torch.no_grad():
        same(decoder(encoder(torch.from_numpy(x))).numpy(), model.reconstruct(x))
        same(decoder(torch.from_numpy(z)).numpy(), model.inverse_transform(z))
        for parameter in (*encoder.parameters(), *decoder.parameters()):
            parameter.zero_()
    np.testing.assert_array_equal(model.transform(x), z)
    assert np.ptp(model.inverse_transform(z), axis=0).max() > 0


def test_a_decoder_has_the_weights_that_it_uses_and_can_be_trained():
    trained = untrained("vae", ROW)
    decoder = Decoder.from_model(trained.model, ROW)
    # A likelihood's scales come along; the mean does not use them.
    used = [p for name, p in decoder.named_parameters() if not name.startswith("likelihood")]
    expected = sum(p.numel() for p in trained.model.decoder.parameters())
    assert sum(p.numel() for p in used) == expected
    decoder(torch.zeros(2, *trained.latent_shape)).sum().backward()
    assert all(p.grad is not None for p in used)
    assert all(p.grad is None for p in trained.model.parameters())


def test_vectors_looked_up_for_integers_are_decoded():
    trained = untrained("vqvae", IMAGE)
    x = examples(IMAGE, 3)
    with torch.no_grad():
        z = trained.model.bottleneck.lookup(torch.from_numpy(trained.codes(x)))
    same(trained.decoder()(z).numpy(), trained.reconstruct(x))


def check_onnx(name, spec, folder, parts):
    if name in FOLLOWERS:
        with pytest.raises(IncompatibleError, match="Hamiltonian"):
            untrained(name, spec).export(folder, "encoder")
        parts = ["decoder"]
    done = untrained(name, spec).export(folder, parts)
    assert list(done.files) == parts
    assert max(parity.worst for parity in done.parity.values()) < 1e-5


@pytest.mark.parametrize("name", ["vqvae", "cvae", "mlp_impute"])
def test_onnx_files_say_what_python_says(name, tmp_path):
    check_onnx(name, dict(FAMILIES)[name], tmp_path / "files", ["reconstruct"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "spec"), [*FAMILIES, *OTHERS], ids=lambda value: str(value)[:20])
def test_so_do_those_of_every_recipe(name, spec, tmp_path):
    parts = ["encoder", "decoder", "reconstruct"]
    # A flow with such weights as these stretches what rounding leaves, on the way back too far.
    check_onnx(name, spec, tmp_path / "files", parts[:2] if name == "flow_vae" else parts)
