"""The checkpoint that a run starts from: its weights, and what is recorded of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig
from torch import Tensor

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, checkpoint_path
from ddpm_cli.checkpoints.safetensors_file import checksum
from ddpm_cli.fine_tuning.interface import Interface
from ddpm_cli.hub.address import is_address
from ddpm_cli.parallel import ProcessGroup

FOREIGN = "weights of another program become a checkpoint by ddpm-import from=PATH out=CKPT"
WORDS = {"ema": "EMA", "raw": "raw weights"}


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a run starts from.

    kind: `ema` or `raw`. tensors: the weights by name, as they map the file.
    source: the file's name, or the model's address on the hub with its commit.
    digest: the SHA-256 of the tensors' bytes in the order of their names, of an export the same.
    """

    checkpoint: Checkpoint
    kind: Literal["ema", "raw"]
    tensors: Mapping[str, Tensor]
    source: str
    digest: str

    @property
    def interface(self) -> Interface:
        """What the checkpoint's network takes and gives."""
        model: Any = self.checkpoint.config.get("model") or {}
        classes = self.checkpoint.classes if model.get("conditional", False) else []
        return Interface(self.checkpoint.shape[0], classes, str(model.get("variance", "small")))

    @property
    def facts(self) -> dict[str, str]:
        """What a run records of its first weights."""
        step = f"{self.checkpoint.step}"
        return {"source": self.source, "step": step, "weights": self.kind, "sha256": self.digest}

    def begin_job(self, shared: dict[str, Any], swept: Sequence[str]) -> dict[str, Any]:
        """Let all jobs of a sweep start from the same weights; return options that follow.

        The images have the size of the checkpoint's where their size is chosen. shared: what the
        jobs share. swept: the options that the jobs vary.
        Raises ValueError if the file has changed since the first job.
        """
        if "init" not in swept and shared.setdefault("init", self.digest) != self.digest:
            changed = f"{self.source} has changed since the first job of this sweep"
            raise ValueError(f"init: {changed}; name a file that no run writes")
        height, width = self.checkpoint.shape[1:]
        return {"data.size": height if height == width else [height, width]}


def initial_weights(cfg: DictConfig, group: ProcessGroup) -> InitialWeights | None:
    """The weights that `init` names, in all processes the same; None without `init`.

    Raises ValueError if the file cannot be read, or if the processes read different files.
    """
    if cfg.init is None:
        return None
    own: InitialWeights | Exception
    try:
        own = read_initial(cfg.init, cfg.init_weights)
    except (OSError, ValueError) as error:
        own = error
    # A process that cannot read the file says so here, where the others wait for its answer.
    answers = group.all_gather(
        (own.digest, "") if isinstance(own, InitialWeights) else ("", str(own))
    )
    if isinstance(own, Exception):
        raise own
    if fault := next((text for _, text in answers if text), ""):
        raise ValueError(fault)
    if len({digest for digest, _ in answers}) > 1:
        changed = f"{own.source} has changed while it was read"
        raise ValueError(f"init: {changed}; name a file that no run writes")
    return own


def read_initial(path: str, kind: Literal["ema", "raw"]) -> InitialWeights:
    """Read the weights of one kind from a checkpoint. Raises ValueError if it has none."""
    part = WEIGHTS[kind]
    checkpoint = load_initial(checkpoint_path(path), parts=(part,))
    if not (tensors := checkpoint.part(part)):
        raise ValueError(
            f"init_weights={kind}: {checkpoint.source} has none (an export has the EMA)"
        )
    source = checkpoint.source if is_address(checkpoint.source) else checkpoint.path.name
    return InitialWeights(checkpoint, kind, tensors, source, checksum(checkpoint.tensors, part))


def load_initial(path: Path, parts: Collection[str]) -> Checkpoint:
    """Read a checkpoint with some of its parts. Raises ValueError for a file that is none."""
    try:
        return Checkpoint.load(path, parts)
    except ValueError as error:
        raise ValueError(f"init: {error}; {FOREIGN}") from error


def initial_text(facts: Mapping[str, str]) -> str:
    """The first weights of a run in words; "" for weights that are drawn."""
    if not facts:
        return ""
    kind = WORDS.get(facts.get("weights", ""), "")
    origin = f"from {facts.get('source', '')} (step {facts.get('step', '')}, {kind})"
    tensors = f"{facts.get('tensors', '')} tensors"
    return "; ".join(filter(None, [f"{origin}, {tensors}", facts.get("changes", "")]))
