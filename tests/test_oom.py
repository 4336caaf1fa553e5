"""What the kernel counts of kills for want of memory, read as it writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alertlog.oom import most_memory, oom_kills


def system(root: Path, groups: str, counter: str, text: str) -> Path:
    """The file system of a machine: the control groups that this process is in, and one file that counts."""
    for name, content in (("proc/self/cgroup", groups), (f"sys/fs/cgroup/{counter}", text)):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    return root


def test_kills_are_read_from_the_control_group_that_this_process_is_in(tmp_path: Path) -> None:
    events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
    assert oom_kills(system(tmp_path, "0::/system.slice/etl\n", "system.slice/etl/memory.events", events)) == 2


def test_control_groups_of_the_first_version_count_in_another_file(tmp_path: Path) -> None:
    groups = "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n"
    text = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"
    assert oom_kills(system(tmp_path, groups, "memory/docker/abc/memory.oom_control", text)) == 5


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", "under_oom 0\n"])
def test_where_nobody_counts_there_are_none(tmp_path: Path, text: str) -> None:
    assert oom_kills(system(tmp_path, "nothing that one knows\n0::/\n", "memory.events", text)) == 0
    assert oom_kills(tmp_path / "elsewhere") == 0


def test_a_childs_memory_is_told_from_this_programs_own_by_the_peak_that_the_system_names(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)
    status = tmp_path / "proc/self/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nVmHWM:\t       1 kB\n")
    assert most_memory(tmp_path) > 1024
    status.write_text(f"VmHWM:\t{2**40} kB\n")
    assert most_memory(tmp_path) == 0


def test_where_the_system_names_no_peak_the_largest_that_is_known_stands_in(tmp_path: Path) -> None:
    assert most_memory(tmp_path) in (0, most_memory())


def test_this_machine_is_asked_without_an_error() -> None:
    assert oom_kills() >= 0
    assert most_memory() >= 0
