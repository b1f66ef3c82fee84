"""Settings of the process, changed by blocks of several threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from autoencode.training import processor
from autoencode.training.processor import tuned
from autoencode.training.settings import Setting, Turns


class Switch:
    """A setting that notes what is written."""

    def __init__(self):
        self.value = "before"
        self.written = []

    def read(self):
        return self.value

    def write(self, value):
        self.value = value
        self.written.append(value)


def in_thread(function):
    """Calls a function in another thread and waits for it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.mark.parametrize("by_thread", [False, True])
def test_a_setting_is_put_back_whatever_the_order_of_threads(by_thread):
    switch = Switch()
    setting = Setting(switch.read, switch.write, by_thread)
    first, second = setting.held("first"), setting.held("second")
    first.__enter__()
    in_thread(second.__enter__)
    assert switch.value == "second"
    first.__exit__(None, None, None)
    assert switch.value == ("before" if by_thread else "second")
    in_thread(lambda: second.__exit__(None, None, None))
    assert switch.value == "before"


def test_a_setting_inside_another_gives_back_the_outer_one():
    switch = Switch()
    setting = Setting(switch.read, switch.write)
    with setting.held("outer"):
        with setting.held("inner"):
            assert switch.value == "inner"
        assert switch.value == "outer"
    assert switch.value == "before"


def test_threads_with_other_wishes_never_compute_together():
    switch = Switch()
    turns, seen, lock, inside = Turns(switch.read, switch.write), [], threading.Lock(), []

    def work(wish):
        for _ in range(15):
            with turns.held(wish):
                with lock:
                    inside.append(wish)
                time.sleep(0.0002)
                with lock:
                    seen.append((set(inside), switch.value))
                    inside.remove(wish)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, ["fast", None] * 3))
    assert len(seen) == 90
    assert all(wishes in ({"fast"}, {None}) for wishes, _ in seen)
    assert all(value == ("fast" if wishes == {"fast"} else "before") for wishes, value in seen)
    assert switch.value == "before"


def test_a_block_inside_another_takes_turns_for_it():
    switch = Switch()
    turns = Turns(switch.read, switch.write)
    with turns.held(None):
        assert switch.value == "before"
        with turns.held("fast"):
            assert switch.value == "fast"
            with turns.held(None):  # takes it as it finds it
                assert switch.value == "fast"
        assert switch.value == "before"
    assert switch.value == "before"


def test_a_thread_that_is_waited_for_inside_a_turn_may_join_it(monkeypatch):
    monkeypatch.setattr("autoencode.training.settings._PATIENCE", 0.01)
    turns = Turns(Switch().read, Switch().write)
    with ThreadPoolExecutor(2) as pool:

        def enter(wish):
            with turns.held(wish):
                return wish

        with turns.held("fast"):
            other = pool.submit(enter, None)  # waits for its turn
            assert pool.submit(enter, "fast").result(30) == "fast"
        assert other.result(30) is None


def test_large_and_small_products_of_threads_keep_their_routes(monkeypatch):
    monkeypatch.setattr(processor, "_onednn_is_exact", lambda: True)
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision

    def route(work):
        seen = set()
        for _ in range(20):
            with tuned(torch.device("cpu"), work):
                time.sleep(0.0001)
                seen.add(matmul.fp32_precision)
        return seen

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(route, [1, 10**9, 1, 10**9])) == [{before}, {"bf16"}] * 2
    assert matmul.fp32_precision == before
