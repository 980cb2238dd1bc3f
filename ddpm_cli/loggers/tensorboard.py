"""TensorBoard: event files in the run's folder."""

import yaml
from torch.utils.tensorboard import SummaryWriter

from ddpm_cli.rendering.tiles import Picture
from ddpm_cli.run_folder.layout import TENSORBOARD
from ddpm_cli.run_folder.sink import LoggedRun, Numbers, Sink, ignore


def tensorboard(run: LoggedRun, *, images: bool = True) -> Sink:
    """Write event files, of which TensorBoard ignores what was written after the run's step."""
    purge = run.step + 1 if run.step else None
    writer = SummaryWriter(str(run.folder / TENSORBOARD), purge_step=purge)

    def write_numbers(step: int, row: Numbers) -> None:
        for name, number in row.items():
            writer.add_scalar(name, number, step)

    def write_picture(step: int, tag: str, picture: Picture) -> None:
        writer.add_image(tag, picture, step)
        writer.flush()

    if not run.step:
        text = yaml.safe_dump({"run": run.name, **run.config}, sort_keys=False)
        writer.add_text("config", f"```\n{text}```", 0)
    return Sink(
        write_numbers, write_picture if images else ignore, close=lambda well: writer.close()
    )
