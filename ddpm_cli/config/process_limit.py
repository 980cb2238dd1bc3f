"""The most processes that a command starts on this machine."""

import os


def check_processes(option: str, count: int) -> None:
    """Refuse more processes than this machine can hold, before the first is started."""
    cores = os.cpu_count() or 1
    if count > (most := max(64, 8 * cores)):
        allowed = f"at most {most} are allowed on this machine of {cores} cores"
        raise ValueError(f"{option} asks for {count:,} processes, but {allowed}")
