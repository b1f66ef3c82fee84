"""A file is written whole or not at all, and the message says what to do."""

import errno
import os
import stat
import sys

import pytest

from autoencode.errors import StorageError
from autoencode.files.atomic import new_folder, write_atomically

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and folder handles of POSIX")


def fail_with(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the umask for the rest of the test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("content", [b"", b"a\r\nb\x00\n", bytes(3_000_000)])
def test_the_bytes_arrive_unchanged_and_alone(tmp_path, content):
    target = tmp_path / "model.bin"
    write_atomically(target, content)
    assert target.read_bytes() == content
    assert names(tmp_path) == ["model.bin"]


def test_an_old_file_is_replaced_and_its_open_readers_keep_it(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old and longer")
    if sys.platform == "win32":  # which replaces no open file
        write_atomically(str(target), b"new")
    else:
        with target.open("rb") as reader:
            write_atomically(str(target), b"new")
            assert reader.read() == b"old and longer"
    assert target.read_bytes() == b"new"


@posix  # Windows limits the whole path
def test_the_longest_name_and_a_bare_name_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    longest = "n" * 255
    write_atomically(longest, b"x")
    assert names(tmp_path) == [longest]


@posix
@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0, 0o644)])
def test_the_mode_is_0644_less_the_umask(tmp_path, umask, mask, expected):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    target.chmod(0o755)  # which does not matter
    umask(mask)
    write_atomically(target, b"x")
    assert mode(target) == expected


@posix
def test_file_then_name_then_folder_reach_the_disk(tmp_path, monkeypatch):
    target = tmp_path / "a"
    steps = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle):
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        # Everything must have left Python's buffer before the file is synced.
        steps.append("folder" if folder else os.fstat(handle).st_size)
        fsync(handle)

    def noted_replace(source, destination):
        steps.append("replace")
        assert os.path.dirname(source) == os.path.dirname(destination) == str(tmp_path)
        replace(source, destination)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomically(target, b"12345")
    assert steps == [5, "replace", "folder"]


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_failing_write_keeps_the_old_content_and_leaves_nothing(tmp_path, monkeypatch, step):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, step, fail_with(errno.ENOSPC))
    with pytest.raises(StorageError) as caught:
        write_atomically(target, b"new")
    monkeypatch.undo()
    assert str(caught.value) == (
        f"cannot write {target}: no space left; free some space or choose another folder"
    )
    assert isinstance(caught.value.__cause__, OSError)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@posix
def test_a_disk_that_fills_up_midway_keeps_the_old_content(tmp_path):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    target = tmp_path / "a"
    target.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageError, match="choose another folder"):
            write_atomically(target, bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_an_interruption_leaves_nothing_either(tmp_path, monkeypatch):
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EDQUOT, "no space left; free some space"),
        (errno.EACCES, "no permission; get it"),
        (errno.EROFS, "no permission; get it"),
        (errno.EIO, f"{os.strerror(errno.EIO)}; choose another folder"),
    ],
)
def test_the_message_is_one_line_with_the_path_and_a_remedy(tmp_path, monkeypatch, number, says):
    monkeypatch.setattr(os, "replace", fail_with(number))
    with pytest.raises(StorageError) as caught:
        write_atomically(tmp_path / "a", b"new")
    message = str(caught.value)
    assert message.startswith(f"cannot write {tmp_path / 'a'}: {says}")
    assert "\n" not in message


def test_a_missing_folder_and_a_folder_in_the_way_are_told_apart(tmp_path):
    with pytest.raises(StorageError, match="no such folder; create it"):
        write_atomically(tmp_path / "missing" / "a", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder: "):
        write_atomically(tmp_path / "folder", b"x")
    assert names(tmp_path) == ["folder"]
    assert not names(tmp_path / "folder")


@posix
@pytest.mark.parametrize(("number", "accepted"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_synced_is_no_failure_but_a_broken_disk_is(
    tmp_path, monkeypatch, number, accepted
):
    fsync = os.fsync

    def no_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", no_folders)
    if accepted:
        write_atomically(tmp_path / "a", b"x")
    else:
        with pytest.raises(StorageError, match="cannot write"):
            write_atomically(tmp_path / "a", b"x")
    assert names(tmp_path) == ["a"]


def test_a_folder_that_is_overwritten_comes_back_when_its_successor_fails(tmp_path):
    target = tmp_path / "folder"
    with new_folder(target) as inside:
        (inside / "a").write_text("old")
    with pytest.raises(StorageError), new_folder(target, overwrite=True) as inside:
        (inside / "nowhere/a").write_text("new")
    assert (target / "a").read_text() == "old"
    with new_folder(target, overwrite=True) as inside:
        (inside / "b").write_text("new")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]
