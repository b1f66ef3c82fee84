"""Tries in a minute what changed: ``make check``.

    python tests/helpers/check.py [BASE]

Compared with BASE (default: where this branch left main; on main, the last commit) these tests are run:
those in changed test files, those that import a changed helper, and those in the folder that mirrors a
changed folder of the source. Where nothing changed it is a cross-section: every 40th test of each file.
After 50 seconds no further test is begun, and how many are left for ``make test`` is said.

The file is also the pytest plugin that does the choosing among collected tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 50.0
STRIDE = 40
_collected: list[int] = []
PAGES = "tests/package/test_docs.py"


def git(*arguments: str) -> list[str]:
    """The lines that git prints."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def changed(base: str | None) -> list[str]:
    """Files that differ from the base, those not yet added too."""
    if base is None:
        base = next(iter(git("merge-base", "HEAD", "main")), "HEAD")
    new = git("ls-files", "--others", "--exclude-standard")
    return sorted({*git("diff", "--name-only", base), *new})


def tests_of(path: str) -> list[str]:
    """The test files and folders that a changed file speaks to."""
    parts = Path(path).parts
    if path.startswith("tests/helpers/"):
        word = re.compile(rf"\b{Path(path).stem}\b")
        files = sorted((ROOT / "tests").glob("*/test_*.py"))
        return [str(f.relative_to(ROOT)) for f in files if word.search(f.read_text(encoding="utf-8"))]
    if parts[0] == "tests" and Path(path).name.startswith("test_"):
        return [path]
    if path.startswith("src/autoencode/"):
        mirror = f"tests/{parts[2]}" if len(parts) > 3 else "tests/package"
        # What the smallest parts are for is tried where they are used.
        return [mirror if (ROOT / mirror).is_dir() else "tests/parts"]
    return [PAGES] if path.endswith(".md") else []


def chosen(paths: list[str]) -> list[str]:
    """Tests of the changed files that are there, changed test files first."""
    found = dict.fromkeys(test for path in paths for test in tests_of(path))
    there = [test for test in found if (ROOT / test).exists()]
    folders = {test for test in there if not test.endswith(".py")}
    files = [test for test in there if test.endswith(".py") and test in paths]
    others = [test for test in there if test not in files]
    return files + [t for t in others if t in folders or str(Path(t).parent) not in folders]


class _Late:
    """Begins no test after so many seconds."""

    def __init__(self) -> None:
        self.until = time.monotonic() + float(os.environ["CHECK_SECONDS"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        return True if time.monotonic() > self.until else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    _collected[:] = [len(ids)]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Late())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps every 40th test of each file where a cross-section is asked for."""
    if os.environ["CHECK_STRIDE"] == "1":
        return
    seen: dict[Path, int] = {}
    kept = []
    for item in items:
        seen[item.path] = seen.get(item.path, -1) + 1
        if seen[item.path] % STRIDE == 0 and item.get_closest_marker("xdist_group") is None:
            kept.append(item)
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    begun = sum(len(terminalreporter.stats.get(k, [])) for k in ("passed", "failed", "skipped"))
    wanted = _collected[0] if _collected else begun
    terminalreporter.write_line(f"make check began {begun} of {wanted} tests")


def main() -> int:
    """Chooses, says what was chosen, and runs it."""
    paths = changed(sys.argv[1] if len(sys.argv) > 1 else None)
    tests = chosen(paths)
    if tests:
        print(f"{len(paths)} files changed; trying {' '.join(tests)}", flush=True)
    else:
        print(f"nothing that has tests changed; trying every {STRIDE}th test", flush=True)
    helpers = str(Path(__file__).parent)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (helpers, os.environ.get("PYTHONPATH")))),
        "CHECK_SECONDS": str(SECONDS),
        "CHECK_STRIDE": "1" if tests else str(STRIDE),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "check", *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
