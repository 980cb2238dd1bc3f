"""The likelihood of images one by one, by the methods of `ddpm-eval metrics=[nll]`."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, get_args

import torch
from tqdm import tqdm

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.evaluation.bits_per_dim import (
    bound_terms,
    even_levels,
    flow_bits,
    noise_at_times,
    prior_bits,
)
from ddpm_cli.images import to_float
from ddpm_cli.losses import normal_cdf
from ddpm_cli.samplers import Denoise, with_label
from ddpm_cli.seeds import MAX_IMAGES, check_seed
from ddpm_cli.shapes import Bytes, Each, Images, Labels, PerImage

LikelihoodMethod: TypeAlias = Literal["bound", "ode"]


def check_likelihood(
    count: int, indices: Sequence[int], *, method: str, steps: int, seed: int, batch: int
) -> None:
    """Refuse options by which no likelihood of `count` images can be measured."""
    check_seed(seed)
    if method not in get_args(LikelihoodMethod):
        raise ValueError(f"method must be one of bound, ode, but is {method!r}")
    for name, number in {"steps": steps, "batch": batch}.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, but is {number}")
    if len(indices) != count:
        raise ValueError(f"indices must be {count}, one for each image, but are {len(indices)}")
    if not 0 <= min(indices) <= max(indices) < MAX_IMAGES:
        raise ValueError(f"indices must be at least 0 and less than {MAX_IMAGES:,}")


def bits_per_dimension(
    denoiser: Denoiser,
    images: Bytes,
    labels: Labels | None,
    indices: Sequence[int],
    *,
    method: LikelihoodMethod,
    steps: int,
    seed: int,
    batch: int,
    verbose: bool,
) -> Each:
    """The bits per dimension of each image; the options are those of `Model.nll`.

    indices: the numbers of the images, which with the seed decide their noise. Raises ValueError if
    the bits of an image are not finite.
    """
    times = even_levels(denoiser.diffusion, steps) if method == "ode" else []
    total = len(images) * (steps if times else denoiser.diffusion.steps)
    bits = list[torch.Tensor]()
    with tqdm(total=total, unit=" steps", dynamic_ncols=True, disable=not verbose) as bar:
        for part in torch.split(torch.arange(len(images)), batch):
            x0 = to_float(images[part].to(denoiser.device))
            own = None if labels is None else labels[part.to(labels.device)]
            numbers = [indices[place] for place in part.tolist()]
            terms = list[PerImage]()
            for each in bits_of_steps(denoiser, x0, own, seed, numbers, times):
                terms.append(each)
                bar.update(len(part))
            table = torch.stack(terms).cpu().double()
            prior = prior_bits(denoiser.diffusion, x0).cpu().double()
            bits.append(table[-1] if times else prior + table.sum(0))
    result = torch.cat(bits)
    if wrong := int((~result.isfinite()).sum()):
        rule = f"method={method} must be finite, but is not for {wrong}"
        raise ValueError(f"{rule} of {len(result)} images")
    return result


def bits_of_steps(
    denoiser: Denoiser,
    x0: Images,
    labels: Labels | None,
    seed: int,
    indices: Sequence[int],
    times: Sequence[float],
) -> Iterator[PerImage]:
    """Yield every term of the bound, or with times the bits of the flow after each of its steps."""
    denoise: Denoise = denoiser if labels is None else with_label(denoiser, labels)
    noise = noise_at_times(x0, seed, torch.tensor(indices, device=x0.device))
    if times:
        yield from flow_bits(denoise, denoiser.diffusion, x0, noise, normal_cdf, times)
    else:
        terms = bound_terms(denoise, denoiser.diffusion, x0, noise, normal_cdf)
        yield from (bits for _, bits, _ in terms)
