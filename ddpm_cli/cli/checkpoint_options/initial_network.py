"""`init=CKPT`: the overrides of a checkpoint's network and schedule, before this argument."""

from collections.abc import Sequence
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString, RangeSweep
from hydra.errors import HydraException

from ddpm_cli.checkpoint_paths import existing_file, newest_first
from ddpm_cli.cli.arguments import path_value
from ddpm_cli.cli.checkpoint_options.recipe import fetched_path, option_of
from ddpm_cli.files import user_path
from ddpm_cli.hub.address import is_address, path_text

# options of a job that its network follows
OF_JOBS = ("+experiment", "data", "data.size", "trainer", "trainer.label_dropout")


def with_init(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the network and schedule of `init` before them; an argument wins.

    In the folder of a run that resume=auto goes on with, they are those of the run itself.
    Raises ValueError if there is no such checkpoint, or if several have several networks.
    """
    if not (texts := typed_values("init", arguments)):
        return list(arguments)
    rest = [each for each in arguments if option_of(each) != "init"]
    resume = typed_values("resume", rest)
    if any(each != "auto" for each in resume):
        rule = "init=CKPT starts a new run, resume=CKPT goes on with one"
        raise ValueError(f"{rule}: name one of them, or resume=auto beside init")
    folder = typed_values("hydra.run.dir", rest)
    own = newest_first(user_path(folder[-1])) if resume and folder else []
    paths = own[:1] or [initial_path(text) for text in texts]
    overrides, *others = [overrides_of(path, rest) for path in paths]
    if any(each != overrides for each in others):
        raise ValueError("init: all checkpoints of a sweep must have one network and one schedule")
    named = texts if own else [path_text(path.absolute()) for path in paths]
    return [*overrides, f"init={','.join(map(path_value, named))}", *rest]


def typed_values(option: str, arguments: Sequence[str]) -> list[str]:
    """The values of an option, of a sweep all; none for null, and for what Hydra cannot read."""
    texts = list[str]()
    for argument in (each for each in arguments if option_of(each) == option):
        try:
            value: Any = OverridesParser.create().parse_override(argument).value()
        except HydraException:
            return []  # which Hydra refuses in its own words
        parts = [value]
        if isinstance(value, ChoiceSweep | RangeSweep):
            parts = value.list if isinstance(value, ChoiceSweep) else [*value.range()]
        plain = [each.text if isinstance(each, QuotedString) else each for each in parts]
        texts += [str(each) for each in plain if each is not None]
    return texts


def initial_path(text: str) -> Path:
    """The path of a checkpoint that `init` names. Raises ValueError if there is none."""
    path = fetched_path(text) if is_address(text) else user_path(text)
    try:
        return existing_file(path)
    except ValueError as error:
        if not any(path.glob("*.json")):
            raise
        foreign = "a model of another program becomes one by ddpm-import from=PATH out=CKPT"
        raise ValueError(f"{error}; {foreign}") from error


def overrides_of(path: Path, arguments: Sequence[str]) -> list[str]:
    """The overrides of a checkpoint's network and schedule beside these arguments."""
    room = import_module("ddpm_cli.fine_tuning.network_options")
    last = {option_of(each): each for each in arguments}
    values = {name: typed_values(option_of(name), [*last.values()]) for name in OF_JOBS}
    choices = [[f"{name}={each}" for each in texts] for name, texts in values.items() if texts]
    typed = room.TypedOptions(
        set(last),
        [f"+experiment={each}" for each in values["+experiment"]],
        [list(job) for job in product(*choices)],
        config_dir(arguments),
    )
    overrides: list[str] = room.network_overrides(path, typed)
    return overrides


def config_dir(arguments: Sequence[str]) -> Path | None:
    """The user's own folder of YAML files among the arguments."""
    for place, each in enumerate(arguments):
        flag, equals, value = each.partition("=")
        if flag in ("--config-dir", "-cd"):
            return user_path(value if equals else arguments[place + 1]).absolute()
    return None
