"""A checkpoint by the text of an option: a file here, or a model on the hub."""

import hashlib
from io import BufferedIOBase
from pathlib import Path

from ddpm_cli.checkpoint_paths import existing_file
from ddpm_cli.checkpoints.faults import LATER_FIELDS, faults, parse_config
from ddpm_cli.checkpoints.safetensors_file import FORMAT, DamagedError, header_fields, read_header
from ddpm_cli.files import user_path
from ddpm_cli.hub.address import is_address, parse_address, path_text
from ddpm_cli.hub.download import fetch_file

MODEL = "model.safetensors"  # the name of a published checkpoint


def checkpoint_path(text: str) -> Path:
    """The path of a checkpoint as the user names it, after hf://OWNER/NAME[@REVISION] is fetched.

    `hub.address.path_text` gives the address with its commit back. Raises ValueError.
    """
    return (
        fetch_file(parse_address(text), MODEL, check_head) if is_address(text) else user_path(text)
    )


def pin_revision(text: str) -> str:
    """Fetch a model of the hub, and name it by its commit; return a path as the user names it."""
    return path_text(checkpoint_path(text)) if is_address(text) else text


def file_hash(text: str) -> str:
    """The SHA-256 of a checkpoint, an image or a mask, as the user names it, in hex digits."""
    path = checkpoint_path(text)
    path = existing_file(path) if path.suffix == ".pt" or path.is_dir() else path
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_head(file: BufferedIOBase, size: int) -> None:
    """Refuse a file that is no checkpoint of format 5, by its header and its size.

    Raises ValueError.
    """
    try:
        fields = {**LATER_FIELDS, **header_fields(read_header(file, size))}
    except DamagedError as error:
        raise ValueError(
            f"{MODEL} is damaged, or no checkpoint of format {FORMAT} ({error})"
        ) from error
    if fault := next(faults(fields, {}), None):
        raise ValueError(f"{MODEL}: {fault}")
    parse_config(fields["config"])
