"""Contenders of `fashion_mnist.py`: each trains for minutes, draws images, and has a denoiser.

Start-up and data preparation do not count as training, but for our run, which times itself as a
whole. There are no previews, no validation and no checkpoints in between. Where a contender differs
from the settings that its authors recommend, `DEVIATIONS` says so.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

import ddpm_cli
from ddpm_cli.api.model import Model
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.rendering.tiles import save_png

DATA = Path("/usr/share/datasets/fashion-mnist")
SIDE, PEERS_SIDE = 28, 32
MARGIN = (PEERS_SIDE - SIDE) // 2
PNG, DONE, WEIGHTS = "png", "training.json", "weights.pt"
MOST_STEPS = 10**9
SHARED = [
    "images have a black margin of 2 pixels (28 to 32 px), which is cut off the samples",
    "one channel in place of three",
    "no mirroring: Fashion-MNIST's shoes all point one way",
    "no previews, metrics or checkpoints while it trains",
]
DEVIATIONS = {
    "ours": ["no previews or validation while it trains"],
    "lucidrains": [*SHARED, "no mixed precision on a CPU, where theirs (fp16) needs a GPU"],
    "diffusers": [*SHARED, "the cosine learning rate ends at the steps that fit into the minutes"],
}


@dataclass(frozen=True)
class Contender:
    """A trained model: facts of its training, its sampler, and its meaning as a denoiser.

    draw: (count, seed) -> uint8 [N, 1, 28, 28] and the class of each, or None. margin: pixels at
    each side that its network sees beside the image.
    """

    images_seen: int
    seconds: float
    parameters: int
    sampler: str
    draw: Callable[[int, int], tuple[Tensor, Tensor | None]]
    denoiser: Denoiser
    margin: int


class Network(nn.Module):
    """A network of others, called as this package calls a network."""

    def __init__(
        self, network: nn.Module, call: Callable[[nn.Module, Tensor, Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return self.call(self.network, x, t.long())


def write_done(folder: Path, **facts: Any) -> None:
    """Mark a training as done; an earlier kill leaves no mark."""
    (folder / DONE).write_text(json.dumps(facts) + "\n")


def read_done(folder: Path) -> dict[str, Any]:
    """The facts of a training that was done."""
    return json.loads((folder / DONE).read_text())


def png_folder(out: Path, images: Tensor) -> Path:
    """The training images of 32 px as PNG files, written once."""
    folder = out / PNG
    padded = pad(images, [MARGIN] * 4)
    if len(list(folder.glob("*.png"))) < len(images):
        for index, image in enumerate(padded):
            save_png(folder / f"{index:05d}.png", image.numpy())
    return folder


def train_ours(out: Path, images: Tensor, minutes: float, device: torch.device) -> None:
    """Train the experiment; a run that was killed goes on."""
    folder = out / "run"
    overrides = ["+experiment=fashion_mnist", f"trainer.minutes={minutes}", "resume=auto"]
    overrides += [f"trainer.{name}_every=100000000" for name in ("sample", "evaluate")]
    run = ddpm_cli.train([*overrides, "trainer.loggers=[]"], folder=folder)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    speeds = [row["images_per_second"] for row in rows if "images_per_second" in row]
    count = run.step * ddpm_cli.load(run.checkpoint).checkpoint.config.trainer.batch_size
    seconds = count * sum(1 / speed for speed in speeds) / len(speeds)
    write_done(out, images=count, seconds=seconds, checkpoint=str(run.checkpoint))


def load_ours(out: Path, device: torch.device, steps: int | None) -> Contender:
    """Our last checkpoint, drawn by the experiment's sampler with labels."""
    done = read_done(out)
    model: Model = ddpm_cli.load(done["checkpoint"], device=device)
    node = model.checkpoint.config.sampler
    chosen = {**node, **({} if steps is None else {"steps": steps})}

    def draw(count: int, seed: int) -> tuple[Tensor, Tensor]:
        images = model.sample(count, seed=seed, label="all", sampler=chosen)
        return images, torch.arange(count) % len(model.classes)

    name = chosen["_target_"].rpartition(".")[2]
    return Contender(
        done["images"],
        done["seconds"],
        sum(each.numel() for each in model.network.parameters()),
        f"{name}, {chosen['steps']} steps, label=all",
        draw,
        model.denoiser,
        0,
    )


def lucidrains_diffusion(steps: int) -> Any:
    """The network and the process of the README of denoising-diffusion-pytorch, on one channel."""
    from denoising_diffusion_pytorch import GaussianDiffusion as Theirs
    from denoising_diffusion_pytorch import Unet

    network = Unet(dim=64, dim_mults=(1, 2, 4, 8), flash_attn=True, channels=1)
    return Theirs(network, image_size=PEERS_SIDE, timesteps=1000, sampling_timesteps=steps)


def train_lucidrains(out: Path, images: Tensor, minutes: float, device: torch.device) -> None:
    """Train by their Trainer, with the options of their README."""
    from denoising_diffusion_pytorch import Trainer

    trainer = Trainer(
        lucidrains_diffusion(250),
        str(png_folder(out.parent, images)),
        train_batch_size=32,
        train_lr=8e-5,
        train_num_steps=MOST_STEPS,
        gradient_accumulate_every=2,
        ema_decay=0.995,
        amp=device.type == "cuda",
        calculate_fid=False,
        augment_horizontal_flip=False,
        save_and_sample_every=MOST_STEPS,
        results_folder=str(out / "results"),
    )
    began: list[float] = []

    def until_late(batches: Iterator[Any]) -> Iterator[Any]:
        """Yield batches; end the training after the step in which the minutes are over."""
        for batch in batches:
            began[:] = began or [time.perf_counter()]
            if time.perf_counter() - began[0] >= 60 * minutes:
                trainer.train_num_steps = trainer.step + 1
            yield batch

    trainer.dl = until_late(trainer.dl)
    trainer.train()
    seconds = time.perf_counter() - began[0]
    torch.save(trainer.ema.ema_model.state_dict(), out / WEIGHTS)
    write_done(out, images=64 * trainer.step, seconds=seconds)


def load_lucidrains(out: Path, device: torch.device, steps: int | None) -> Contender:
    """Their EMA, drawn by their DDIM: 250 steps as their README has it, on a CPU 50."""
    steps = steps or (50 if device.type == "cpu" else 250)
    done, theirs = read_done(out), lucidrains_diffusion(steps)
    theirs.load_state_dict(torch.load(out / WEIGHTS, weights_only=True, map_location="cpu"))
    theirs.to(device).eval().requires_grad_(False)

    def draw(count: int, seed: int) -> tuple[Tensor, None]:
        torch.manual_seed(seed)
        return cut_margin(theirs.sample(batch_size=count)), None

    return Contender(
        done["images"],
        done["seconds"],
        sum(each.numel() for each in theirs.model.parameters()),
        f"their ddim, {steps} steps",
        draw,
        as_denoiser(theirs.model, lambda network, x, t: network(x, t), theirs.betas, "v"),
        MARGIN,
    )


def diffusers_network() -> Any:
    """The network of `examples/unconditional_image_generation` of diffusers, on one channel."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=PEERS_SIDE,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=(*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
    )


def diffusers_batches(folder: Path, cache: Path) -> Any:
    """Batches of 16 from the example's data set, in this process as is its default."""
    from datasets import load_dataset
    from torchvision import transforms

    data = load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(cache))
    steps = [
        transforms.Resize(PEERS_SIDE, interpolation=transforms.InterpolationMode.BILINEAR),
        transforms.CenterCrop(PEERS_SIDE),
        transforms.ToTensor(),
        transforms.Normalize([0.5], [0.5]),
    ]
    prepare = transforms.Compose(steps)
    data.set_transform(
        lambda rows: {"input": [prepare(image.convert("L")) for image in rows["image"]]}
    )
    return torch.utils.data.DataLoader(data, batch_size=16, shuffle=True, num_workers=0)


def diffusers_run(batches: Any, steps: int, seconds: float) -> tuple[Any, int, float]:
    """Train by the example's recipe until the seconds are over.

    steps: the steps that the learning rate's schedule is for. Returns the network with the weights
    of the EMA, the steps done and the seconds that they took.
    """
    from accelerate import Accelerator
    from diffusers import DDPMScheduler, UNet2DModel
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    accelerator, network = Accelerator(mixed_precision="no"), diffusers_network()
    ema = EMAModel(
        network.parameters(),
        decay=0.9999,
        use_ema_warmup=True,
        inv_gamma=1.0,
        power=0.75,
        model_cls=UNet2DModel,
        model_config=network.config,
    )
    process = DDPMScheduler(
        num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon"
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
    )
    rate = get_scheduler("cosine", optimizer, num_warmup_steps=500, num_training_steps=steps)
    network, optimizer, batches, rate = accelerator.prepare(network, optimizer, batches, rate)
    ema.to(accelerator.device)
    endless = itertools.chain.from_iterable(itertools.repeat(batches))
    batch, began, done = next(endless), time.perf_counter(), 0
    network.train()
    while time.perf_counter() - began < seconds:
        clean = batch["input"]
        noise = torch.randn_like(clean)
        times = torch.randint(0, 1000, (len(clean),), device=clean.device)
        guess = network(process.add_noise(clean, noise, times), times).sample
        accelerator.backward(nn.functional.mse_loss(guess.float(), noise.float()))
        accelerator.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        ema.step(network.parameters())
        done, batch = done + 1, next(endless)
    took, network = time.perf_counter() - began, accelerator.unwrap_model(network)
    ema.copy_to(network.parameters())
    return network, done, took


def train_diffusers(out: Path, images: Tensor, minutes: float, device: torch.device) -> None:
    """Time steps for a twentieth of the minutes, then train anew with a schedule that fits."""
    batches = diffusers_batches(png_folder(out.parent, images), out / "cache")
    torch.manual_seed(0)
    trial = min(30.0, 3 * minutes)
    _, tried, took = diffusers_run(batches, MOST_STEPS, trial)
    steps = max(1, round(60 * minutes * tried / took))
    torch.manual_seed(0)
    network, done, seconds = diffusers_run(batches, steps, 60 * minutes)
    network.save_pretrained(out / "network")
    write_done(out, images=16 * done, seconds=seconds)


def load_diffusers(out: Path, device: torch.device, steps: int | None) -> Contender:
    """Their EMA, drawn by 1,000 steps of DDPM as in the example, on a CPU by 50 of their DDIM."""
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel

    done, slow = read_done(out), device.type == "cpu"
    network = UNet2DModel.from_pretrained(out / "network").to(device).eval().requires_grad_(False)
    steps = steps or (50 if slow else 1000)
    process = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    pipeline: Any = DDPMPipeline(network, process)
    if slow:
        pipeline = DDIMPipeline(network, DDIMScheduler.from_config(process.config))

    def draw(count: int, seed: int) -> tuple[Tensor, None]:
        generator = torch.Generator(device).manual_seed(seed)
        options = {"batch_size": count, "num_inference_steps": steps, "output_type": "np"}
        images = torch.from_numpy(pipeline(generator=generator, **options).images)
        return cut_margin(images.permute(0, 3, 1, 2)), None

    return Contender(
        done["images"],
        done["seconds"],
        sum(each.numel() for each in network.parameters()),
        f"their {'ddim' if slow else 'ddpm'}, {steps} steps",
        draw,
        as_denoiser(network, lambda model, x, t: model(x, t).sample, process.betas, "eps"),
        MARGIN,
    )


def as_denoiser(
    network: nn.Module,
    call: Callable[[nn.Module, Tensor, Tensor], Tensor],
    betas: Tensor,
    predicts: Any,
) -> Denoiser:
    """The network of others as a denoiser, on their betas and with their variance, beta-tilde."""
    diffusion = GaussianDiffusion.from_betas(betas.cpu().double())
    return Denoiser(diffusion, Network(network, call), predicts=predicts, variance="small")


def cut_margin(images: Tensor) -> Tensor:
    """Bytes of 28 px of images of 32 px in [0, 1]."""
    inner = images[..., MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
    return (255 * inner.float().cpu()).round().clamp(0, 255).to(torch.uint8)


TRAIN = {"ours": train_ours, "lucidrains": train_lucidrains, "diffusers": train_diffusers}
LOAD = {"ours": load_ours, "lucidrains": load_lucidrains, "diffusers": load_diffusers}
