"""A trained model in one's own program: its images, its estimates, and the likelihood of images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from ddpm_cli.api.arguments import Label, check_noised, check_shape, labels_of, times_of
from ddpm_cli.api.errors import user_errors
from ddpm_cli.api.likelihood import LikelihoodMethod, bits_per_dimension, check_likelihood
from ddpm_cli.api.pictures import Images, image_bytes
from ddpm_cli.api.sampling import (
    OF_FILES,
    GuiderChoice,
    SamplerChoice,
    draw_into_memory,
    sample_config,
)
from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, checkpoint_path
from ddpm_cli.components import load_denoiser
from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware import words_for_full_memory

Weights: TypeAlias = Literal["ema", "raw"]
SMALLER = "choose a smaller batch, or device='cpu'"
ONE_DRAWS = Lock()  # threads take turns: only one at a time may capture the graphs of a GPU


@dataclass(frozen=True, repr=False, eq=False)
class Model:
    """A trained model, loaded by `ddpm_cli.load`; threads may share it.

    checkpoint: the run and its recipe, without tensors. denoiser: the network and the meaning of
    its output. weights: which weights the network has. trust: the user's own modules.
    """

    checkpoint: Checkpoint
    denoiser: Denoiser
    weights: Weights
    trust: Sequence[str] = ()

    def __repr__(self) -> str:
        count = sum(each.numel() for each in self.network.parameters())
        size, step = " x ".join(map(str, self.shape)), f"step {self.checkpoint.step:,}"
        kind = f"{len(self.classes)} classes" if self.denoiser.conditional else "unconditional"
        return (
            f"<Model: images of {size}, {kind}, {count:,} parameters, "
            f"{self.weights} weights of {step}, on {self.device}>"
        )

    @property
    def network(self) -> nn.Module:
        """The network, `forward(x_t, t - 1, label)`, in evaluation; its weights need no gradients.

        After `network.requires_grad_()` they do.
        """
        return self.denoiser.network

    @property
    def diffusion(self) -> GaussianDiffusion:
        """The diffusion process, with its noise levels and its `steps`, T."""
        return self.denoiser.diffusion

    @property
    def shape(self) -> list[int]:
        """The shape [C, H, W] of an image."""
        return self.checkpoint.shape

    @property
    def classes(self) -> list[str]:
        """The names of the classes; label 0 is the first."""
        return self.checkpoint.classes

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self.denoiser.device

    def sample(
        self,
        n: int = 64,
        *,
        seed: int = 0,
        label: str | int | None = None,
        guidance: float = 1.0,
        guider: GuiderChoice = None,
        sampler: SamplerChoice = "ddim",
        steps: int | Literal["all"] | None = None,
        batch: int | Literal["auto"] = 64,
        indices: Sequence[int] | None = None,
        progress: bool = True,
        **options: Any,
    ) -> Tensor:
        """Draw images, uint8 [n, C, H, W] on the CPU, equal to those of `ddpm-sample`.

        Image i depends on the model, the options of the images, seed and i alone.

        label: a class by its name or number, or "all": each class in turn. guidance: its scale.
        guider: a name of `configs/guider`, or a node with `_target_` and options; None: as the
        options say, a guide by autoguidance.
        sampler: a name of `configs/sampler`, or the node of one's own, with `_target_` and all
        options. steps: of the sampler; None: as many as its YAML file says. batch: images at a
        time, which changes no image. indices: the images to draw in place of the first n.
        progress: whether to show a bar. options: further options of the images (precision,
        threshold, start, inpaint, ...) and of the sampler (spacing, eta, ...), as the command's.
        Raises ValueError for options that the command refuses.
        """
        given: dict[str, Any] = {"n": n, "seed": seed, "label": label, "guidance": guidance}
        given |= {"batch": batch, **({} if steps is None else {"steps": steps})}
        given |= {} if indices is None else {"indices": list(indices)}
        own = {"weights": self.weights, "device": str(self.device), "trust": list(self.trust)}
        with user_errors("sample"), ONE_DRAWS, torch.no_grad(), words_for_full_memory(SMALLER):
            if foreign := options.keys() & OF_FILES:
                advice = "load takes weights, device and trust; images save themselves"
                raise ValueError(f"{min(foreign)} is not an option of Model.sample ({advice})")
            everything = {**given, **options, **own, "ckpt": str(self.checkpoint.path)}
            cfg = sample_config(sampler, guider, everything)
            return draw_into_memory(self.denoiser, self.checkpoint, cfg, verbose=progress)

    def nll(
        self,
        images: Images,
        *,
        label: Label = None,
        method: LikelihoodMethod = "bound",
        steps: int = 100,
        seed: int = 0,
        indices: Sequence[int] | None = None,
        batch: int = 64,
        progress: bool = True,
    ) -> Tensor:
        """The negative log-likelihood of images in bits per dimension, float64 [N] on the CPU.

        images: uint8 [N, C, H, W], tensor or array. label: the class of all images, or int64 [N].
        method: "bound", the variational bound in T evaluations an image (Ho et al. 2020, eq. 5), or
        "ode", the probability flow in `steps` steps (Song et al. 2021, eq. 39). seed, indices: of
        the noise; image i has the noise of indices[i], or of i. batch: images at a time.
        progress: whether to show a bar. Raises ValueError for what does not fit the model.
        """
        with user_errors(), ONE_DRAWS, torch.no_grad(), words_for_full_memory(SMALLER):
            pixels = image_bytes(images)
            check_shape(pixels, self.shape)
            numbers = range(len(pixels)) if indices is None else indices
            options: Any = {"method": method, "steps": steps, "seed": seed, "batch": batch}
            check_likelihood(len(pixels), numbers, **options)
            labels = labels_of(label, len(pixels), self.denoiser, self.classes)
            given = self.denoiser, pixels, labels, numbers
            return bits_per_dimension(*given, **options, verbose=progress)

    def denoise(self, x_t: Tensor, t: float | Tensor, label: Label = None) -> Estimate:
        """Estimate the clean images in noised ones: `.x0`, and the network's `.output`.

        x_t: floats [B, C, H, W]. t: a time from 1 to T, or one for each image. label: a class, or
        int64 [B] with -1 for no label. Gradients flow as through any module of PyTorch: to x_t if
        it needs them, to the weights after `network.requires_grad_()`, and not within
        `torch.no_grad()`. Raises ValueError for what does not fit the model.
        """
        with user_errors():
            check_noised(x_t, self.shape)
            times = times_of(t, len(x_t), self.diffusion.steps)
            labels = labels_of(label, len(x_t), self.denoiser, self.classes)
            return self.denoiser(x_t.to(self.device), times, labels)


def load(
    ckpt: str | Path,
    *,
    weights: Weights = "ema",
    device: str | torch.device = "auto",
    trust: Sequence[str] = (),
) -> Model:
    """Load the model of a checkpoint.

    weights: ema (their moving average) or raw (of the last step). device: auto (CUDA, else MPS,
    else the CPU), or a name such as cuda:1. trust: modules of one's own that the checkpoint names.
    The state of torch's random numbers stays. On a GPU, matrices are multiplied as TF32 from then
    on, as in all commands. Raises ValueError if there is no such checkpoint or device.
    """
    with user_errors(), torch.random.fork_rng(devices=[]):
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, but is {weights!r}")
        checkpoint = Checkpoint.load(checkpoint_path(str(ckpt)), [WEIGHTS[weights]])
        modules, where = list(trust), str(device)
        denoiser = load_denoiser(checkpoint, weights=weights, device=where, trust=modules)
        denoiser.network.requires_grad_(False)
        return Model(replace(checkpoint, tensors={}), denoiser, weights, modules)
