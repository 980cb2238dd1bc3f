"""The package in twenty lines of Python, with the types that mypy sees."""

from typing import assert_type

import torch
from PIL import Image

import ddpm_cli

tiny = {"model.network.dim": 8, "model.network.dim_mults": [1, 2], "sampler.steps": 3}
run = ddpm_cli.train({"trainer.steps": 4, "trainer.batch_size": 16, **tiny}, folder="my run")
print(run.step, run.checkpoint, run.numbers["held_out"])
model = assert_type(ddpm_cli.load(run.checkpoint, device="cpu"), ddpm_cli.Model)
images = assert_type(model.sample(4, seed=3, sampler="ddim", steps=3), torch.Tensor)
ddpm_cli.image_grid(images, columns=2).save("samples.png")
first, *_ = assert_type(ddpm_cli.pil_images(images), list[Image.Image])
first.save("first.png")
bits = assert_type(model.nll(images, method="ode", steps=2), torch.Tensor)
print(f"{bits.mean():.2f} bits per dimension")
eps, t = torch.randn(4, *model.shape), model.diffusion.steps // 2
x_t = model.diffusion.add_noise(images / 127.5 - 1, eps, t).requires_grad_()
(slope,) = torch.autograd.grad(model.denoise(x_t, t).x0.square().mean(), x_t)
print(slope.shape, sum(each.numel() for each in model.network.parameters()))
