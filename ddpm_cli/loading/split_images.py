"""The images of a run, to train on and held out."""

from ddpm_cli.data import Preparation, Source
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.image_sets.image_set import check_labels
from ddpm_cli.parallel import ProcessGroup


def load_split_images(
    source: Source,
    preparation: Preparation,
    group: ProcessGroup,
    denoiser: Denoiser,
    batch_size: int,
) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Load all images, those to train on and those held out; of a stream its first rows.

    Raises ValueError if processes see different images, or for a batch larger than the data set.
    """
    data = load_image_set(source, preparation, copies=group.here, verbose=group.rank == 0)
    if len(set(group.all_gather(data.fingerprint))) > 1:
        raise ValueError("the processes do not see the same images (their fingerprints differ)")
    if denoiser.conditional:
        check_labels(data, every=denoiser.needs_label)
    training, held_out = data.split(preparation.holdout)
    why = f" when data.holdout={preparation.holdout:g} are held out" if preparation.holdout else ""
    check_batch_size(batch_size, len(training.images), why, endless=source.rows is not None)
    return data, training, held_out


def held_out_text(training: ImageSet, held_out: ImageSet, *, streamed: bool) -> str:
    """The number of held-out images in words, and where they come from."""
    count, split = len(held_out.images), held_out.held_out_split
    if split is not None:
        return f"{count:,} of the split {split.name!r} are held out"
    if streamed:
        return f"{count:,} of the first {len(training.images) + count:,} are held out"
    return f"{count:,} more {'is' if count == 1 else 'are'} held out"


def check_batch_size(size: int, images: int, why: str = "", *, endless: bool = False) -> None:
    """Refuse a batch larger than the data set; a stream has more images than its first rows."""
    if size > images and not (endless and images):
        allowed = f"at most {images}, the images there are{why}"
        raise ValueError(f"trainer.batch_size must be {allowed}, but is {size}")
