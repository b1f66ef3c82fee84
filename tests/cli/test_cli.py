"""The command line as people and scripts use it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from autoencode import RECIPES
from autoencode.cli import cli as group
from autoencode.evaluate.metrics import METRICS
from autoencode.runs import resume, train
from autoencode.trained import load_trained
from processes import command

pytest_plugins = ["cli_runs"]

PNG = b"\x89PNG\r\n\x1a\n"
QUICK = ("--epochs", "1", "--set", "hidden=8", "--set", "latent_dim=2")
RUN_FILES = {
    "config.json",
    "history.jsonl",
    "metrics.json",
    "model.safetensors",
    "plots",
    "report.html",
}


# --- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [None, *group.commands])
def test_every_command_has_help_with_an_example(cli, command, flag):
    result = cli(flag) if command is None else cli(command, flag)
    assert result.code == 0
    assert not result.err
    start = "autoencode " + (command or "")
    assert f"\n    {start}" in result.out[result.out.index("Example:") :]


@pytest.mark.parametrize("command", group.commands)
def test_every_option_and_command_says_what_it_does(command):
    assert group.commands[command].help
    for option in group.commands[command].params:
        if option.param_type_name == "option":
            assert option.help, option.name


def test_help_gives_every_metric_its_unit(cli):
    text = " ".join(cli("evaluate", "--help").out.split())
    for name, info in METRICS.items():
        unit = info.unit.split(" per ")[0]
        assert f"{name} {unit}" in text


def test_help_names_the_exit_codes_and_no_command_is_bad_input(cli):
    assert "Exit codes: 0 done" in cli("--help").out
    result = cli()
    assert result.code == 2
    assert "Commands:" in result.out + result.err


def test_the_version_is_that_of_the_package(cli):
    import autoencode

    assert autoencode.__version__ in cli("--version").out


# --- train --------------------------------------------------------------------------------------


def test_a_run_folder_is_whole_and_says_where_it_is(cli, pictures, table, tmp_path):
    result = cli("train", table, "--recipe", "mlp", *QUICK, "--out", "r")
    assert result.code == 0
    assert not result.out
    assert "epoch 1/1" in result.err
    assert "r/report.html" in result.err
    assert {path.name for path in (tmp_path / "r").iterdir()} == RUN_FILES
    assert {path.name for path in tmp_path.iterdir()} == {"r"}
    assert len((tmp_path / "r/history.jsonl").read_text().splitlines()) == 1
    assert all(p.read_bytes().startswith(PNG) for p in (tmp_path / "r/plots").iterdir())


def test_the_report_is_self_contained_and_names_the_final_folder(cli, pictures, table, tmp_path):
    cli("train", table, *QUICK, "--out", "a & b")
    page = (tmp_path / "a & b/report.html").read_text()
    assert "partial" not in page
    assert "load(&#34;a &amp; b&#34;)" in page
    assert not any(f'{attribute}="http' in page for attribute in ("src", "srcset"))
    assert "<script" not in page


def test_json_is_one_object_on_the_last_line_with_progress_on_stderr(cli, table):
    result = cli("train", table, "--recipe", "vae", *QUICK, "--out", "r", "--seed", "5", "--json")
    assert result.code == 0
    assert len(result.out.splitlines()) == 1
    assert "epoch 1/1" in result.err
    found = result.json
    assert found["run"] == "r"
    assert found["seed"] == 5
    assert found["recipe"] == "vae"
    assert found["complete"] is True
    assert set(METRICS) <= set(found)
    assert found["elbo"] == pytest.approx(-(found["reconstruction"] + found["kl"]))


def test_quiet_says_nothing_but_where_the_run_is(cli, table):
    result = cli("train", table, *QUICK, "--set", "keep=last", "--quiet")
    assert (result.err, result.out) == ("", "runs/table-mlp\n")


def test_default_folders_are_numbered(cli, table):
    for name in ("runs/table-mlp", "runs/table-mlp-2"):
        assert cli("train", table, *QUICK, "--quiet").out.strip() == name


def test_pixels_given_as_numbers_to_255_are_converted_with_a_notice(cli, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (20, 8, 8)) * 1.0)
    result = cli("train", "x.npy", *QUICK, "--out", "r")
    assert "note: values 0..255 taken as pixels and divided by 255" in result.err
    assert json.loads((tmp_path / "r/config.json").read_text())["spec"]["scale"] == [255.0]


def test_options_reach_the_configuration(cli, table, tmp_path):
    cli(
        *("train", table, "--recipe", "mlp", "--out", "r", "--quiet", "--schedule", "paper"),
        *("--epochs", "2", "--batch-size", "16", "--lr", "0.002", "--seed", "7"),
        *("--set", "hidden=16, 8", "--set", "activation=gelu", "--set", "mean_start=yes"),
        *("--set", "noise=masking", "--set", "noise_level=0.1"),
    )
    config = json.loads((tmp_path / "r/config.json").read_text())
    assert config["options"]["hidden"] == [16, 8]
    assert config["options"]["activation"] == "gelu"
    assert (config["options"]["noise"], config["options"]["noise_level"]) == ("masking", 0.1)
    plan = config["plan"]
    assert (plan["epochs"], plan["batch_size"], plan["lr"]) == (2, 16, 0.002)
    assert plan["mean_start"] is True
    assert (config["schedule"], config["seed"]) == ("paper", 7)
    assert config["command"].startswith("autoencode train ")
    assert "'hidden=16, 8'" in config["command"]


def test_the_same_seed_gives_the_same_weights(cli, table, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        cli("train", table, *QUICK, "--out", name, "--seed", seed, "--quiet")
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("n", [2, 3, 11])
def test_very_few_examples_are_enough(cli, tmp_path, n, rows):
    np.save(tmp_path / "few.npy", rows(n))
    assert cli("train", "few.npy", *QUICK, "--out", "r").code == 0
    assert cli("sample", "r", "-n", "3").code == 0


def test_overwrite_replaces_a_run_and_leaves_nothing_else(cli, table, tmp_path):
    cli("train", table, *QUICK, "--out", "r", "--quiet")
    before = (tmp_path / "r/model.safetensors").read_bytes()
    refused = cli("train", table, *QUICK, "--out", "r")
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert cli("train", table, *QUICK, "--out", "r", "--overwrite", "--seed", "1").code == 0
    assert (tmp_path / "r/model.safetensors").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_link_to_a_run_can_be_overwritten_and_what_it_points_at_stays(cli, table, tmp_path):
    cli("train", table, *QUICK, "--out", "real", "--quiet")
    (tmp_path / "link").symlink_to("real")
    assert cli("train", table, *QUICK, "--out", "link", "--overwrite", "--quiet").code == 0
    assert not (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"link", "real"}
    assert cli("evaluate", "real").code == 0


def test_a_file_name_that_is_no_text(table, tmp_path):
    name = os.fsdecode(b"x\xff.npy")
    shutil.copy(table, tmp_path / name)
    done = subprocess.run(
        command("train", name, *QUICK, "--set", "keep=last", "--quiet"),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"runs/x\xff-mlp\n"


# --- evaluate -----------------------------------------------------------------------------------


def test_evaluate_repeats_what_training_measured(cli, images):
    found = cli("evaluate", images, "--json").json
    measured = json.loads((images / "metrics.json").read_text())
    known = {name: value for name, value in measured.items() if value is not None}
    assert {name: found[name] for name in known} == pytest.approx(known, rel=1e-4)
    assert all(found[name] is None for name in measured.keys() - known.keys())
    assert (found["data"], found["split"], found["n"]) == ("digits", "test", 359)


def test_the_splits_of_a_run_are_three(cli, images):
    sizes = {
        split: cli("evaluate", images, "--split", split, "--json").json["n"]
        for split in ("test", "validation", "train")
    }
    assert sizes["train"] + sizes["validation"] == 1438
    assert sizes["test"] == 359


def test_evaluate_on_other_data_and_null_where_a_metric_means_nothing(cli, plane, tmp_path, rows):
    np.save(tmp_path / "other.npy", rows(9, seed=3))
    found = cli("evaluate", plane, "other.npy", "--json").json
    assert (found["n"], found["split"], found["data"]) == (9, "all", "other.npy")
    assert found["elbo"] is None
    assert found["mse"] > 0


def test_the_table_shows_units(cli, images):
    text = cli("evaluate", images).out
    assert "nats per example" in text
    assert text.splitlines()[1].split() == ["metric", "value", "unit", "meaning"]


# --- reconstruct, embed, decode, sample ---------------------------------------------------------


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".NPY", ".CSV", ".NpZ"])
def test_codes_survive_every_kind_of_file(cli, plane, table, tmp_path, ending):
    made = cli("embed", plane, table, "-o", f"codes{ending}", "--json").json
    assert made == {"file": f"codes{ending}", "shape": [60, 2], "dtype": "float32"}
    cli("decode", plane, f"codes{ending}", "-o", "decoded.npy")
    cli("reconstruct", plane, table, "-o", "direct.npy")
    decoded, direct = np.load(tmp_path / "decoded.npy"), np.load(tmp_path / "direct.npy")
    np.testing.assert_allclose(decoded, direct, rtol=1e-5, atol=1e-6)


def test_csv_has_named_columns_and_is_read_without_them_too(cli, plane, table, tmp_path):
    cli("embed", plane, table, "-o", "codes.csv")
    lines = (tmp_path / "codes.csv").read_text().splitlines()
    assert lines[0] == "z0,z1"
    (tmp_path / "bare.csv").write_text("\n".join(lines[1:]))
    (tmp_path / "excel.csv").write_text("\ufeff" + "\r\n".join(lines) + "\r\n\r\n")
    for name in ("codes", "bare", "excel"):
        cli("decode", plane, f"{name}.csv", "-o", f"{name}.npy")
    first = np.load(tmp_path / "codes.npy")
    assert first.shape == (60, 6)
    for name in ("bare", "excel"):
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), first)


@pytest.mark.parametrize("name", ["x.png", "x.PNG"])
@pytest.mark.parametrize("run", ["plane", "images"])
def test_examples_become_pictures(cli, request, tmp_path, run, name):
    folder = request.getfixturevalue(run)
    assert cli("reconstruct", folder, "-o", name).code == 0
    assert (tmp_path / name).read_bytes().startswith(PNG)


def test_reconstructions_have_the_shape_of_the_data(cli, images):
    assert cli("reconstruct", images, "--json", "-o", "r.npz").json["shape"] == [359, 1, 8, 8]


def test_samples_follow_the_seed(cli, images, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cli("sample", images, "-n", "5", "--seed", seed, "-o", f"{name}.npy")
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert a.shape == (5, 1, 8, 8)
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_results_go_into_the_run_folder_unless_told(cli, plane, tmp_path):
    run = shutil.copytree(plane, tmp_path / "run")
    for verb, name in (("reconstruct", "reconstructions"), ("embed", "codes")):
        assert cli(verb, run, "--json").json["file"] == str(run / f"{name}.npy")
    assert cli("decode", run, run / "codes.npy", "--json").json["file"] == str(run / "decoded.npy")
    assert cli("sample", run, "--json").json["shape"] == [64, 6]


# --- plot ---------------------------------------------------------------------------------------


def test_all_pictures_are_drawn_again(cli, pictures, plane, tmp_path):
    run = shutil.copytree(plane, tmp_path / "run")
    shutil.rmtree(run / "plots")
    files = cli("plot", run, "--json").json["files"]
    kinds = ["columns", "reconstructions", "loss", "latent", "grid", "traversals", "samples"]
    assert files == [str(run / "plots" / f"{kind}.png") for kind in kinds]
    assert all(path.read_bytes().startswith(PNG) for path in (run / "plots").iterdir())


def test_a_grid_covers_the_range_that_is_asked_for(cli, plane, tmp_path):
    for name, extent in (("a", "-5,10,-10,5"), ("b", " -1, 1,-1,1")):
        arguments = ("--kind", "grid", "--range", extent, "--rows", "4", "-o", f"{name}.png")
        assert cli("plot", plane, *arguments).out.strip() == f"{name}.png"
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_other_data_can_be_plotted(cli, plane, tmp_path, rows):
    np.save(tmp_path / "other.npy", rows(9, seed=3))
    assert cli("plot", plane, "other.npy", "--kind", "latent", "-o", "l.png").code == 0


# --- recipes, runs ------------------------------------------------------------------------------


def test_recipes_are_listed(cli):
    text = cli("recipes").out
    assert [line.split()[0] for line in text.splitlines()] == list(RECIPES)
    assert [r["name"] for r in cli("recipes", "--json").json["recipes"]] == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_shows_its_source_and_options(cli, name):
    text = cli("recipes", name).out
    shown = cli("recipes", name, "--json").json
    assert shown["name"] == name
    assert shown["url"] in text
    assert set(shown["options"]) == set(RECIPES[name].options)
    for option, facts in shown["options"].items():
        assert f"  {option}=" in text
        assert facts["help"], option
    assert shown["fast"]["epochs"] >= 1 <= shown["paper"]["epochs"]


def test_every_shown_default_can_be_set(cli, table):
    """What ``recipes`` prints is what ``--set`` takes."""
    lines = cli("recipes", "vae").out.splitlines()
    start = lines.index("Options of the model (--set option=value):") + 1
    end = lines.index("", start)
    pairs = [line.strip() for line in lines[start:end] if line[:3].strip()]
    sets = [word for pair in pairs for word in ("--set", pair)]
    assert len(pairs) == len(RECIPES["vae"].options)
    assert cli("train", table, "--recipe", "vae", *sets, "--epochs", "1", "--quiet").code == 0


def test_runs_are_compared_oldest_first(cli, plane, images, tmp_path):
    runs = tmp_path / "my.runs" / "more"
    for i, source in enumerate((images, plane)):
        copied = shutil.copytree(source, runs / source.name)
        os.utime(copied / "config.json", (i, i))
    shutil.copytree(plane, runs / ".abc.partial")
    (runs / "broken").mkdir()
    (runs / "broken" / "config.json").write_text("[1]")
    (runs / "plane" / "metrics.json").write_text("[1]")
    found = cli("runs", tmp_path / "my.runs", "--json").json["runs"]
    assert [entry["recipe"] for entry in found] == ["vae", "mlp"]
    assert found[0]["elbo"] < 0
    assert found[1]["mse"] is None
    assert found[0]["latent"] == [20]
    text = cli("runs", "my.runs").out
    assert text.splitlines()[0].split()[:3] == ["run", "recipe", "data"]
    assert len(text.splitlines()) == 3


def test_runs_are_found_below_a_path_with_dots(cli, plane, tmp_path):
    shutil.copytree(plane, tmp_path / ".hidden" / "r")
    (tmp_path / "sub").mkdir()
    for folder in (".hidden", "sub/../.hidden", "./.hidden/"):
        assert len(cli("runs", folder, "--json").json["runs"]) == 1
    assert cli("runs", "sub", "--json").json == {"runs": []}
    assert "no runs under sub" in cli("runs", "sub").out


def test_runs_looks_into_runs_by_default(cli, table):
    cli("train", table, *QUICK, "--quiet")
    assert [r["run"] for r in cli("runs", "--json").json["runs"]] == ["runs/table-mlp"]


# --- true processes -----------------------------------------------------------------------------


def test_a_reader_that_leaves_early_is_no_error():
    for full, code in ((False, 0), (True, 2)):
        read, write = os.pipe()
        os.close(read)
        if full:
            os.close(write)
            write = os.open("/dev/full", os.O_WRONLY)
        done = subprocess.run(
            command("recipes"), stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(write)
        assert done.returncode == code
        lines = done.stderr.splitlines()
        assert lines == ([] if not full else [f"error: {lines[0][7:]}"])
        assert not full or "No space left on device" in lines[0]


def start_training(table, tmp_path, *more):
    """A run that would take for ever, once it has shown an epoch."""
    process = subprocess.Popen(
        command("train", table, "--out", "r", "--set", "hidden=8", "--epochs", "9999999", *more),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            return process
    pytest.fail("training did not start")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_training_and_saves_what_there_is(table, tmp_path, number, code):
    process = start_training(table, tmp_path, "--json")
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith("autoencode train --resume r goes on")
    assert json.loads(out.splitlines()[-1])["complete"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert load_trained(tmp_path / "r").embed(np.load(table)).shape == (60, 3)
    history = (tmp_path / "r/history.jsonl").read_text().splitlines()
    assert len(history) == json.loads(out)["epochs"] >= 1


def test_a_second_signal_leaves_at_once(table, tmp_path):
    process = start_training(table, tmp_path)
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if line.startswith("stopping and saving"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode in (130, -signal.SIGINT)  # after its last line, Python dies of it
    assert "Traceback" not in err
    left = [path.name for path in tmp_path.iterdir()]
    assert left in ([], ["r"])
    if left:
        assert (tmp_path / "r/resume/run.json").is_file()


def test_a_signal_after_the_last_step_leaves_at_once_and_loses_nothing(
    table, tmp_path, monkeypatch, pictures
):
    """In this process, so that the moment is exact."""
    from autoencode.cli.signals import Interrupted, Signals
    from autoencode.cli.train import _Stopping
    from autoencode.console.progress import Watcher
    from autoencode.pictures import plots

    def interrupt(figure):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Signals, "received", 0)
    with monkeypatch.context() as patch:
        patch.setattr(plots, "png", interrupt)
        watcher = Watcher(quiet=True)
        with pytest.raises(Interrupted) as late, watcher, _Stopping(watcher):
            train(str(table), "mlp", out=tmp_path / "r", epochs=1, observer=watcher)
    assert late.value.__notes__ == [f"autoencode train --resume {tmp_path / 'r'} goes on"]
    run = resume(tmp_path / "r")
    assert run.complete
    assert {path.name for path in run.folder.iterdir()} >= {"config.json", "report.html", "plots"}

    Signals.received = 0
    with pytest.raises(Interrupted) as early, _Stopping(Watcher(quiet=True)):  # nothing to save yet
        os.kill(os.getpid(), signal.SIGTERM)
    assert early.value.exit_code == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_whose_exception_is_lost_ends_the_program_all_the_same(number, monkeypatch):
    """As in a callback of the interpreter, which Python only reports."""
    from autoencode.cli.signals import Interrupted, Signals
    from autoencode.cli.train import _Stopping
    from autoencode.console.progress import Watcher

    monkeypatch.setattr(Signals, "received", 0)
    watcher = Watcher(quiet=True)
    with Signals():
        with contextlib.suppress(Interrupted):
            os.kill(os.getpid(), number)
        with pytest.raises(Interrupted) as caught, _Stopping(watcher):
            pytest.fail("it began")
    assert caught.value.exit_code == 128 + number
    Signals.received = 0
    with _Stopping(watcher) as signals:  # and while the data are read
        with contextlib.suppress(Interrupted):
            os.kill(os.getpid(), number)
        assert watcher.stop()
        assert signals.received == number


def test_the_program_dies_of_a_signal_before_it_is_there_without_a_traceback():
    code = "import autoencode.__main__, os, signal; os.kill(os.getpid(), signal.SIGINT)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
