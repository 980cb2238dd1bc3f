"""Checkpoint files taken apart and put together again, as a stranger could."""

import io
import json
import re
import time
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch
from omegaconf import OmegaConf

from ddpm_cli import schedules
from ddpm_cli.checkpoints import Checkpoint, StagingBuffers, write_checkpoint
from ddpm_cli.checkpoints.safetensors_file import METADATA, checksum, header_checksum
from ddpm_cli.checkpoints.tensor_names import PARTS
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.networks.unet import UNet
from ddpm_cli.training import TrainState, snapshot

OTHER_NOISE = (
    "changed, so the rest is not what it would have been: "
    "randomness: 1 -> 2, so that best metric and held-out history start anew"
)
GOLDEN = Path(__file__).parent / "golden"
CFG = OmegaConf.create({"seed": 0, "model": {"dims": [1, 2]}})
ABOUT = {"fingerprint": "print", "shape": [1, 8, 8], "classes": ["a"], "steps": 9}


def state(seed=0, dim=8, optimizer=partial(torch.optim.Adam, lr=1e-3)):
    """The state of a small run after its third step."""
    torch.manual_seed(seed)
    diffusion = GaussianDiffusion.from_betas(schedules.cosine(steps=10))
    fresh = TrainState.fresh(Denoiser(diffusion, UNet(1, 1, dim=dim, dim_mults=(1, 2))), optimizer)
    fresh.denoiser(torch.zeros(1, 1, 8, 8), 3).output.sum().backward()
    fresh.optimizer.step()
    fresh.step = 3
    return fresh


def save(path, state, cfg=CFG, **about):
    """Write the state of a run as a checkpoint, as the thread of a run does."""
    checkpoint = snapshot.take_snapshot(state, cfg, **{**ABOUT, **about})
    tensors, complete = StagingBuffers().copy(checkpoint.tensors)
    complete()
    write_checkpoint(path, replace(checkpoint, tensors=tensors))


def change(path, target=None, **fields):
    """Write a checkpoint with other fields, as this version writes it."""
    write_checkpoint(Path(target or path), replace(Checkpoint.load(Path(path)), **fields))


def change_config(path, edit_config, target=None):
    """Write a checkpoint with a configuration that a function has edited in place."""
    config = Checkpoint.load(Path(path)).config
    edit_config(config)
    change(path, target, config=config)


def scale(path, target, factor, part="ema"):
    """Write a checkpoint with numbers times a factor: of a part, or of one tensor."""
    tensors = Checkpoint.load(Path(path)).tensors
    scaled = {name: factor * each for name, each in tensors.items() if name.startswith(part)}
    change(path, target, tensors={**tensors, **scaled})


def take_apart(file):
    """The header and the data of a safetensors file."""
    length = int.from_bytes(file[:8], "little")
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def put_together(header, data=b""):
    """A safetensors file of a header, or of a header's text, and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def sealed(header, data):
    """A safetensors file whose header has the checksum of its content."""
    texts = {**header[METADATA], "checksum": header_checksum(header)}
    return put_together({**header, METADATA: texts}, data)


def edit(path, tensors=None, **fields):
    """Replace tensors and fields of a checkpoint behind checksums that fit; ... takes a field out.

    A field becomes JSON where it is no text.
    """
    header, _ = take_apart(path.read_bytes())
    named = {**safetensors.torch.load_file(path), **(tensors or {})}
    texts = header[METADATA] | {
        name: field if isinstance(field, str) else json.dumps(field)
        for name, field in fields.items()
        if field is not ...
    }
    kept = {name: text for name, text in texts.items() if fields.get(name) is not ...}
    sums = {part: checksum(named, part) for part in PARTS}
    written = safetensors.torch.save(named, {**kept, "checksums": json.dumps(sums)})
    path.write_bytes(sealed(*take_apart(written)))
    return path


def members(path):
    """The members of an archive of an old format, by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(members, compression=zipfile.ZIP_STORED):
    """An archive of (name, content), of which some names may be equal."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in members:
            written.writestr(name, content)
    return file.getvalue()


def assert_refused(path):
    """A file is refused in one line, within 5 s of CPU and 300 MiB beyond what is in memory."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
    before, began = peak_memory(), time.process_time()
    with pytest.raises(ValueError, match="checkpoint") as error:
        Checkpoint.load(path)
    assert time.process_time() - began < 5
    assert peak_memory() - before < 300 * 2**20
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def peak_memory():
    """The peak of this process's resident memory in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", text)[1])
