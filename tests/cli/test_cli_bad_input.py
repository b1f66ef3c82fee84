"""Every mistake gets one line that names it, exit code 2, and leaves nothing behind."""

import errno
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

from autoencode.files.sealed import seal
from cli_runs import assert_refused

pytest_plugins = ["cli_runs"]

QUICK = ("--epochs", "1", "--set", "hidden=8", "--set", "latent_dim=2")


def tree(folder):
    """Everything under a folder, with sizes."""
    return {
        str(path.relative_to(folder)): path.stat().st_size if path.is_file() else None
        for path in folder.rglob("*")
    }


# --- options ------------------------------------------------------------------------------------

TRAIN = [
    (["--recipe", "vea"], "vae"),
    (["--recipe", "../vae"], "unknown recipe '../vae'"),
    (["--recipe", ""], "unknown recipe"),
    (["--recipe", "conv"], "MLP"),
    (["--epochs", "0"], "epochs"),
    (["--epochs", "-3"], "epochs"),
    (["--epochs", "many"], "--epochs"),
    (["--epochs", "1.5"], "--epochs"),
    (["--batch-size", "0"], "batch_size"),
    (["--lr", "-0.1"], "lr"),
    (["--lr", "0"], "lr"),
    (["--lr", "nan"], "lr"),
    (["--lr", "inf"], "lr"),
    (["--schedule", "slow"], "slow"),
    (["--seed", "-1"], "--seed"),
    (["--seed", str(2**70)], "--seed"),
    (["--seed", "one"], "--seed"),
    (["--device", "tpu"], "tpu"),
    (["--device", "cpu:x"], "cpu:x"),
    (["--device", "cpu:7"], "cpu:7"),
    (["--device", ""], "device"),
    (["--set", "foo"], "'foo'"),
    (["--set", "=3"], "'=3'"),
    (["--set", " =3"], "=3"),
    (["--set", "latent_dmi=3"], "latent_dim"),
    (["--set", "latent_dim=0"], "latent_dim"),
    (["--set", "latent_dim=-1"], "latent_dim"),
    (["--set", "latent_dim=two"], "latent_dim"),
    (["--set", "latent_dim=2.5"], "latent_dim"),
    (["--set", "latent_dim="], "latent_dim"),
    (["--set", "latent_dim=2", "--set", "latent_dim=3"], "latent_dim"),
    (["--set", "epochs=2", "--epochs", "3"], "epochs"),
    (["--set", "hidden=0"], "hidden"),
    (["--set", "hidden=8,1000000000000000000000"], "too large"),
    (["--batch-size", "9" * 30], "too large"),
    (["--lr", "1e300"], "too large"),
    (["--set", "latent_dim=1e999"], "latent_dim"),
    (["--set", "mean_start=maybe"], "true or false"),
    (["--set", "hidden=8,-8"], "hidden"),
    (["--set", "hidden=8;8"], "hidden"),
    (["--set", "dropout=1.5"], "dropout"),
    (["--set", "dropout=nan"], "dropout"),
    (["--set", "validation=1"], "validation"),
    (["--set", "activation=swish2"], "activation"),
    (["--set", "noise_level=-1"], "noise_level"),
    # Arguments of the library's functions are no options.
    (["--set", "seed=3"], "seed"),
    (["--set", "encoder=3"], "encoder"),
    (["--set", "overwrite=true"], "overwrite"),
    (["--set", "spec=3"], "spec"),
    (["--set", "__class__=3"], "__class__"),
    (["--nonsense"], "--nonsense"),
    (["--out"], "--out"),
    (["another.npy"], "another.npy"),
    (["--out", ""], "--out"),
]


@pytest.mark.parametrize(("arguments", "mention"), TRAIN, ids=lambda v: " ".join(v)[:40])
def test_options_of_train(cli, table, tmp_path, arguments, mention):
    out = [] if "--out" in arguments else ["--out", "a/b/r"]
    assert_refused(cli("train", table, *out, *arguments), mention)
    assert tree(tmp_path) == {}


USE = [
    (["evaluate"], "RUN"),
    (["evaluate", "nowhere"], "nowhere"),
    (["evaluate", ""], "run"),
    (["evaluate", "RUN", "--split", "nonsense"], "nonsense"),
    (["evaluate", "RUN", "TABLE", "--split", "train"], "--split"),
    (["evaluate", "RUN", "digits"], "6 values"),
    (["evaluate", "RUN", "digitz"], "digits"),
    (["evaluate", "RUN", ""], "."),
    (["evaluate", "RUN", "--seed", "-1"], "--seed"),
    (["evaluate", "RUN", "--device", "gpu"], "gpu"),
    (["embed", "RUN", "-o", "codes.png"], ".csv"),
    (["embed", "RUN", "-o", "codes.txt"], "codes.txt"),
    (["embed", "RUN", "-o", "codes"], "codes"),
    (["embed", "RUN", "-o", ""], "ending"),
    (["embed", "RUN", "-o", "no/folder/codes.npy"], "no/folder"),
    (["embed", "RUN", "-o", "/proc/codes.npy"], "/proc/codes.npy"),
    (["embed", "RUN", "TABLE", "--split", "train"], "--split"),
    (["embed", "RUN", "--split", "nonsense"], "nonsense"),
    (["reconstruct", "RUN", "missing.npy"], "missing.npy"),
    (["reconstruct", "RUN", "-o", "x.jpg"], "x.jpg"),
    (["reconstruct", "RUN", "-o", ".npy"], ".npy"),
    (["decode", "RUN"], "CODES"),
    (["decode", "RUN", "missing.csv"], "missing.csv"),
    (["decode", "RUN", "TABLE"], "(60, 6)"),
    (["decode", "RUN", "RUN"], "kind of file"),
    (["sample", "RUN", "-n", "0"], "0"),
    (["sample", "RUN", "-n", "-3"], "-3"),
    (["sample", "RUN", "-n", "some"], "-n"),
    (["sample", "RUN", "-o", "x.tiff"], "x.tiff"),
    (["plot", "RUN", "--kind", "nonsense"], "nonsense"),
    (["plot", "RUN", "--kind", "grid", "--range", "1,2,3"], "1,2,3"),
    (["plot", "RUN", "--kind", "grid", "--range", "a,b,c,d"], "a,b,c,d"),
    (["plot", "RUN", "--kind", "grid", "--range", "5,-5,0,1"], "X0 < X1"),
    (["plot", "RUN", "--kind", "grid", "--range", "0,inf,0,1"], "inf"),
    (["plot", "RUN", "--kind", "grid", "--range", "0,nan,0,1"], "nan"),
    (["plot", "RUN", "--kind", "grid", "--range", "-1,1"], "four numbers"),
    (["plot", "RUN", "--kind", "traversals", "--range", "1,2,3,4"], "two numbers"),
    (["plot", "RUN", "--kind", "traversals", "--range", "a,b"], "two numbers"),
    (["plot", "RUN", "--kind", "traversals", "--range", "2,-2"], "X0 < X1"),
    (["plot", "RUN", "--kind", "traversals", "--range", "0,inf"], "inf"),
    (["plot", "RUN", "--kind", "traversals", "--dims", "0,x"], "0,x"),
    (["plot", "RUN", "--kind", "traversals", "--dims", "1000"], "1000"),
    (["plot", "RUN", "--kind", "grid", "--rows", "1"], "--rows"),
    (["plot", "RUN", "--kind", "grid", "--rows", "1000000"], "--rows"),
    (["plot", "RUN", "-o", "x.png"], "--kind"),
    (["plot", "RUN", "--kind", "loss", "-o", "x.pdf"], "x.pdf"),
    (["plot", "RUN", "--kind", "loss", "-o", "no/x.png"], "no/x.png"),
    (["plot", "IMAGES", "--kind", "grid"], "two numbers"),
    (["recipes", "vea"], "vae"),
    (["runs", "nowhere"], "nowhere"),
    (["runs", "TABLE"], "table.npy"),
    (["trian", "digits"], "train"),
    (["--nonsense"], "--nonsense"),
]


@pytest.mark.parametrize(("arguments", "mention"), USE, ids=lambda v: " ".join(v)[:50])
def test_options_of_the_other_commands(cli, plane, images, table, tmp_path, arguments, mention):
    names = {"RUN": plane, "IMAGES": images, "TABLE": table}
    before = tree(plane), tree(images)
    assert_refused(cli(*(names.get(a, a) for a in arguments)), mention)
    assert tree(tmp_path) == {}
    assert (tree(plane), tree(images)) == before


def test_a_bad_ending_is_refused_before_any_work(cli, plane, monkeypatch):
    monkeypatch.setattr("autoencode.trained.model_files.load_trained", pytest.fail)
    for command in ("embed", "reconstruct", "sample"):
        assert_refused(cli(command, plane, "-o", "x.bad"), "x.bad")
    assert_refused(cli("plot", plane, "--kind", "lossy"), "lossy")


# --- data ---------------------------------------------------------------------------------------


def nan_at(*places, value=np.nan):
    x = np.random.default_rng(0).random((20, 5))
    for place in places:
        x[place] = value
    return x


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npz":
        np.savez(path, x=content)
    else:
        np.save(path, content, allow_pickle=content.dtype == object)
    return path


def truncated():
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.zeros((20, 5)))
    return buffer.getvalue()[:-9]


DATA = {
    "nan": ("x.npy", nan_at((3, 2), (7, 1)), ["train", "2 NaN", "row 3, column 2"]),
    "infinite": ("x.npy", nan_at((4, 0), value=-np.inf), ["1 infinite", "row 4, column 0"]),
    "too large": ("x.npy", nan_at((4, 0), value=1e300), ["1e+300", "float32"]),
    "nan in an archive": ("x.npz", nan_at((0, 0)), ["1 NaN"]),
    "no rows": ("x.npy", np.zeros((0, 5)), ["0"]),
    "no columns": ("x.npy", np.zeros((5, 0)), ["0"]),
    "one example": ("x.npy", np.zeros((1, 5)), ["at least 2 examples"]),
    "one row": ("x.npy", np.zeros(5), ["reshape"]),
    "a scalar": ("x.npy", np.zeros(()), ["row"]),
    "text": ("x.npy", np.array([["a", "b"], ["c", "d"]]), ["text columns"]),
    "objects": ("x.npy", np.array([["a", 1], ["c", None]], dtype=object), ["x.npy", "text"]),
    "complex": ("x.npy", np.zeros((4, 2), complex), ["Complex data"]),
    "empty file": ("x.npy", b"", ["x.npy", "empty"]),
    "truncated": ("x.npy", truncated(), ["x.npy", "promises"]),
    "wrong magic": ("x.npy", b"PNG" * 99, ["x.npy", "format"]),
    "not a zip": ("x.npz", b"PK" * 99, ["x.npz"]),
    "unknown kind": ("x.txt", b"1,2\n", ["x.txt", ".npy"]),
}


@pytest.mark.parametrize("case", DATA)
def test_data_that_cannot_be_learned_from(cli, tmp_path, case):
    name, content, mentions = DATA[case]
    write(tmp_path / name, content)
    before = tree(tmp_path)
    assert_refused(cli("train", name, *QUICK, "--out", "r"), *mentions)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("data", ["", ".", "missing.npy", "mnits", "nowhere/x.npz"])
def test_data_that_are_not_there(cli, tmp_path, data):
    assert_refused(cli("train", data, *QUICK), data)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("command", ["train", "embed"])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_pipe_is_refused_and_not_waited_for(cli, plane, tmp_path, command, ending):
    os.mkfifo(tmp_path / f"x.{ending}")
    run = (plane,) if command == "embed" else ()
    assert_refused(cli(command, *run, tmp_path / f"x.{ending}"), "not a file")


def test_a_damaged_data_set(cli, tmp_path, data_dir):
    """MNIST with a wrong magic number, cut short, and with one pixel changed."""
    home = tmp_path / "data" / "mnist"
    home.mkdir(parents=True)
    import gzip

    source = next(data_dir.rglob("t10k-images-idx3-ubyte*"))
    packed = source.read_bytes()
    content = gzip.decompress(packed) if source.suffix == ".gz" else packed
    for other in source.parent.iterdir():
        if other.name.split(".")[0] != source.name.split(".")[0] and "ubyte" in other.name:
            (home / other.name).symlink_to(other)
    target = home / "t10k-images-idx3-ubyte"
    changed = bytearray(content)
    changed[1000] ^= 1
    for damaged in (b"\1" + content[1:], content[:-100], bytes(changed)):
        target.write_bytes(damaged)
        result = cli("train", "mnist", "--data-dir", "data", *QUICK, "--out", "r")
        assert_refused(result, "t10k-images-idx3-ubyte")
        assert {path.name for path in tmp_path.iterdir()} == {"data"}


CODES = {
    "ragged": ("z.csv", b"1,2\n3\n", "z.csv"),
    "words": ("z.csv", b"1,2\na,b\n", "z.csv"),
    "only a header": ("z.csv", b"z0,z1\n", "z.csv"),
    "empty": ("z.csv", b"", "z.csv"),
    "bytes": ("z.csv", b"\xff\xfe\x00", "z.csv"),
    "nan": ("z.csv", b"1,2\nnan,4\n", "index (1, 0)"),
    "too large": ("z.csv", b"1,2\n1e300,4\n", "float32"),
    "too wide": ("z.csv", b"1,2,3\n", "(1, 3)"),
    "too large in npy": ("z.npy", np.full((2, 2), 1e300), "float32"),
    "no rows": ("z.npy", np.zeros((0, 2)), "(0, 2)"),
    "one row": ("z.npy", np.zeros(2), "(2,)"),
    "a scalar": ("z.npy", np.zeros(()), "()"),
    "complex": ("z.npy", np.zeros((2, 2), complex), "Complex data"),
}


@pytest.mark.parametrize("case", CODES)
def test_codes_that_cannot_be_decoded(cli, plane, tmp_path, case):
    name, content, mention = CODES[case]
    write(tmp_path / name, content)
    before = tree(tmp_path)
    assert_refused(cli("decode", plane, name, "-o", "x.npy"), mention)
    assert tree(tmp_path) == before


def test_new_data_out_of_range_of_the_model(cli, plane, images, tmp_path):
    for run, shape, value, mention in (
        (plane, (6, 6), np.nan, "1 NaN"),
        (images, (6, 8, 8), 17.0, "outside 0..16"),
    ):
        x = np.full(shape, 2.0)
        x.flat[0] = value
        write(tmp_path / "x.npy", x)
        if run is images:  # one value stops nothing, most do
            result = cli("evaluate", run, "x.npy")
            assert (result.code, result.err.count(mention)) == (0, 1)
            write(tmp_path / "x.npy", 1000 * x)
        assert_refused(cli("evaluate", run, "x.npy"), mention)


# --- run folders --------------------------------------------------------------------------------


def make_file(path):
    path.write_text("precious")
    return path


def make_folder(path, *names):
    path.mkdir()
    for name in names:
        (path / name).write_text("precious")
    return path


TARGETS = {
    "a file": (lambda p: make_file(p / "r"), "r", "r"),
    "a file above": (lambda p: make_file(p / "f"), "f/r", "f/r"),
    "somebody's folder": (lambda p: make_folder(p / "r", "thesis.tex"), "r", "r"),
    "somebody's config": (lambda p: make_folder(p / "r", "config.json"), "r", "r"),
    "dangling link": (lambda p: (p / "r").symlink_to("nowhere"), "r", "r"),
    "this folder": (lambda p: None, ".", "."),
    "the folder above": (lambda p: None, "..", ".."),
    "the root": (lambda p: None, "/", "/"),
    "no such place": (lambda p: None, "/proc/nowhere/r", "/proc/nowhere/r"),
    "too long": (lambda p: None, "r" * 300, "too long"),
}


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["", "overwrite"])
@pytest.mark.parametrize("case", TARGETS)
def test_places_where_no_run_can_be(cli, table, tmp_path, case, overwrite):
    make, out, mention = TARGETS[case]
    make(tmp_path)
    before = tree(tmp_path)
    assert_refused(cli("train", table, *QUICK, "--quiet", "--out", out, *overwrite), mention)
    assert tree(tmp_path) == before


def test_a_run_that_is_there_is_refused_before_the_data_are_read(cli, plane, monkeypatch):
    monkeypatch.setattr("autoencode.runs.training.load_data", pytest.fail)
    assert_refused(cli("train", "digits", "--out", plane), plane, "--overwrite")


@pytest.mark.parametrize("out", ["r", "new/parents/r"])
def test_training_that_diverges_leaves_nothing(cli, table, tmp_path, out):
    for lr in ("1e30", "1e15"):
        result = cli("train", table, *QUICK, "--lr", lr, "--quiet", "--out", out)
        assert_refused(result, "diverged", code=1)
        assert tree(tmp_path) == {}


def fail_with(number):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("step", ["fsync", "replace", "history", "mkdir", "rename"])
def test_a_disk_that_fails_keeps_the_old_run(cli, plane, table, tmp_path, monkeypatch, step, number):
    run = shutil.copytree(plane, tmp_path / "run")
    before = tree(tmp_path)
    if step == "history":
        monkeypatch.setattr("autoencode.runs.run.json.dumps", fail_with(number))
    elif step == "mkdir":
        monkeypatch.setattr("pathlib.Path.mkdir", fail_with(number))
    elif step == "rename":
        rename = type(run).rename

        def fail_on_last(path, target):
            return fail_with(number)() if path.suffix == ".partial" else rename(path, target)

        monkeypatch.setattr("pathlib.Path.rename", fail_on_last)
    else:
        monkeypatch.setattr(os, step, fail_with(number))
    result = cli("train", table, *QUICK, "--quiet", "--out", "run", "--overwrite")
    monkeypatch.undo()
    assert_refused(result, "cannot write")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "RUN"],
        ["reconstruct", "RUN", "-o", "x.csv"],
        ["sample", "RUN", "-o", "x.png"],
        ["plot", "RUN", "--kind", "loss"],
        ["plot", "RUN", "--kind", "latent", "-o", "x.png"],
    ],
    ids=" ".join,
)
def test_results_on_a_full_disk(cli, plane, tmp_path, monkeypatch, arguments):
    run = shutil.copytree(plane, tmp_path / "run")
    (run / "plots").mkdir(exist_ok=True)
    before = tree(tmp_path)
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    result = cli(*(run if a == "RUN" else a for a in arguments))
    monkeypatch.undo()
    assert_refused(result, "no space left")
    assert tree(tmp_path) == before


def test_plots_that_are_no_folder(cli, plane, tmp_path):
    run = shutil.copytree(plane, tmp_path / "run")
    shutil.rmtree(run / "plots")
    (run / "plots").write_text("")
    assert_refused(cli("plot", run, "--kind", "loss"), "plots")


def test_memory_that_is_not_there(cli, plane, tmp_path):
    result = cli("sample", plane, "-n", 10**14, "-o", "x.npy")
    assert_refused(result, "out of memory", code=1)
    assert tree(tmp_path) == {}


# --- damaged runs -------------------------------------------------------------------------------


@pytest.fixture
def run(plane, tmp_path):
    """A run of one's own to damage."""
    return shutil.copytree(plane, tmp_path / "run")


def change(run, **changes):
    """Alters the configuration; a name with a double underscore goes one level down."""
    config = json.loads((run / "config.json").read_text())
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        (config[outer] if inner else config).__setitem__(inner or outer, value)
    write_config(run, config)


def write_config(run, config):
    """As somebody would who knows the format."""
    content = {key: value for key, value in config.items() if key != "sha256"}
    try:
        (run / "config.json").write_bytes(seal(content))
    except ValueError:  # what no sealed file can hold
        (run / "config.json").write_text(json.dumps(content))


def assert_unusable(cli, run, *mentions):
    for command in (["evaluate"], ["embed", "-o", "z.npy"], ["sample", "-o", "z.npy"]):
        assert_refused(cli(command[0], run, *command[1:]), *mentions)
    assert {path.name for path in run.parent.iterdir()} == {"run"}
    assert cli("runs", run.parent).code == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"format_version": ' + b"9" * 10_000 + b"}",
        b'{"a": "' + b"x" * (17 << 20) + b'"}',
    ],
    ids=lambda c: repr(c[:8]) + str(len(c)),
)
def test_a_configuration_that_is_none(cli, run, content):
    (run / "config.json").write_bytes(content)
    assert_unusable(cli, run, "config.json")


WRONG = ["text", 7, -1, 1.5, True, None, [], {}, ["a"], float("inf")]


@pytest.mark.parametrize(
    "key",
    [
        *("format_version", "recipe", "options", "plan", "spec", "weights_sha256", "seed"),
        *("spec__shape", "spec__kind", "spec__offset", "spec__scale", "spec__context_dim"),
        *("options__latent_dim", "options__hidden", "plan__validation", "plan__epochs"),
        *("data", "data__source", "data__sha256", "training", "latent_shape", "fitted_prior"),
        "prior_components",
        *("notices", "schedule", "command", "environment", "unit", "custom_networks"),
    ],
)
def test_a_value_of_another_type_never_ends_in_a_traceback(cli, run, key):
    kept = (run / "config.json").read_bytes()
    for value in WRONG:
        change(run, **{key: value})
        result = cli("evaluate", run)
        if result.code:  # some values do fit their key
            assert_refused(result)
        assert cli("runs", run.parent).code == 0
        (run / "config.json").write_bytes(kept)


@pytest.mark.parametrize("key", ["recipe", "options", "plan", "spec", "weights_sha256"])
def test_a_missing_value(cli, run, key):
    config = json.loads((run / "config.json").read_text())
    del config[key]
    write_config(run, config)
    assert_unusable(cli, run, "config.json", key)


CHANGES = [
    ({"format_version": 2}, "format 2"),
    ({"format_version": "9" * 5000}, "format 9"),
    ({"recipe": "../../etc/passwd"}, "unknown recipe"),
    ({"recipe": "os.system"}, "unknown recipe"),
    ({"options__hidden": [10**9, 10**9]}, "does not fit"),
    ({"options__hidden": [9]}, "model.safetensors does not fit"),
    ({"options__latent_dim": 3}, "does not fit"),
    ({"options__unknown": 3}, "unknown"),
    ({"options__seed": 3}, "config.json"),
    ({"options__encoder": "os.system"}, "config.json"),
    ({"plan__unknown": 3}, "unknown"),
    ({"plan__validation": 3}, "validation"),
    ({"spec__shape": [10**6, 10**6]}, "damaged"),
    ({"spec__layout": "volume"}, "damaged"),
    ({"spec__given_shape": [2, 2]}, "damaged"),
    ({"spec__shape": [0]}, "damaged"),
    ({"spec__shape": [-6]}, "damaged"),
    ({"spec__shape": []}, "damaged"),
    ({"spec__shape": [7]}, "damaged"),
    ({"spec__scale": [0.0]}, "damaged"),
    ({"spec__scale": [1.0, 2.0]}, "damaged"),
    ({"spec__offset": [float("nan")]}, "damaged"),
    ({"spec__kind": "pickle"}, "damaged"),
    ({"weights_sha256": "0" * 64}, "SHA-256"),
    ({"custom_networks": True}, "encoder= and decoder="),
    ({"seed": -1}, "seed"),
    ({"fitted_prior": False}, "does not fit"),
    ({"prior_components": 5}, "n_components is for a mixture"),
]


@pytest.mark.parametrize(("changes", "mention"), CHANGES, ids=lambda v: str(v)[:40])
def test_a_configuration_that_lies(cli, run, changes, mention):
    change(run, **changes)
    assert_unusable(cli, run, mention)


@pytest.mark.parametrize("source", ["/etc/passwd", "../../x.npy", "", None, "nowhere", "digits"])
def test_a_source_that_is_no_more_or_never_was(cli, run, source):
    change(run, data__source=source)
    for command in ("evaluate", "embed", "plot"):
        assert_refused(cli(command, run))


def rewrite(run, alter):
    """Alters the weights and makes their hash right."""
    tensors = alter(safetensors.torch.load((run / "model.safetensors").read_bytes()))
    content = safetensors.torch.save(tensors)
    (run / "model.safetensors").write_bytes(content)
    change(run, weights_sha256=hashlib.sha256(content).hexdigest())


def first(tensors):
    return next(name for name in sorted(tensors) if name.startswith("encoder"))


ALTERED = {
    "renamed": (lambda t: {("x" if k == first(t) else k): v for k, v in t.items()}, "missing"),
    "removed": (lambda t: {k: v for k, v in t.items() if k != first(t)}, "missing"),
    "added": (lambda t: {**t, "extra": torch.zeros(1)}, "extra"),
    "reshaped": (lambda t: {**t, first(t): torch.zeros(3, 3)}, "(3, 3)"),
    "nan": (lambda t: {**t, first(t): t[first(t)] * float("nan")}, "not finite"),
    "infinite": (lambda t: {**t, first(t): t[first(t)] + float("inf")}, "not finite"),
    "none": (lambda t: {}, "missing"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_weights_with_the_right_hash_and_wrong_contents(cli, run, case):
    alter, mention = ALTERED[case]
    rewrite(run, alter)
    assert_unusable(cli, run, "model.safetensors", mention)


def test_weights_that_were_altered(cli, run):
    path = run / "model.safetensors"
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-5] ^= 64
    for damaged in (content[:-8], bytes(flipped), b"", content + b"\0"):
        path.write_bytes(damaged)
        assert_unusable(cli, run, path, "SHA-256")
    for nonsense in (b"\xff" * 100, b"\x80\x04pickle", (2**62).to_bytes(8, "little") + b"{}"):
        path.write_bytes(nonsense)
        change(run, weights_sha256=hashlib.sha256(nonsense).hexdigest())
        assert_unusable(cli, run, path, "not a safetensors file")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_run_that_is_half_there(cli, run, name):
    (run / name).unlink()
    assert_unusable(cli, run, "train it again" if name == "config.json" else name)
    (run / name).mkdir()
    assert_unusable(cli, run, "run")


def test_a_damaged_history_or_none_still_gives_the_model(cli, run):
    for content in (b"\xff\n{", b"7\nnull\n", b"[" * 100_000, b""):
        (run / "history.jsonl").write_bytes(content)
        assert cli("evaluate", run).code == 0
        result = cli("plot", run, "--kind", "loss", "-o", "x.png")
        if result.code:
            assert_refused(result)


def test_data_that_have_changed_since(cli, table, tmp_path, rows):
    shutil.copy(table, tmp_path / "x.npy")
    assert cli("train", "x.npy", *QUICK, "--out", "r").code == 0
    np.save(tmp_path / "x.npy", rows(seed=9))
    assert_refused(cli("evaluate", "r"), "x.npy", "give DATA")
    assert cli("evaluate", "r", "x.npy").code == 0
